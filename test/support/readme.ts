/** The READMEs as tests see them: chapters, tables and code blocks. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { ROOT } from '../../scripts/build/paths';

/** A README, and the headings of the chapters that tests look into. */
export interface Readme {
  readonly file: string;
  readonly language: string;
  readonly install: string;
  readonly first: string;
  readonly when: string;
  readonly messages: string;
  readonly settings: string;
  readonly codes: string;
}

export const READMES: readonly [Readme, ...Readme[]] = [
  {
    file: 'README.md',
    language: 'en-US',
    install: 'Install',
    first: 'Your first upgrade',
    when: 'Which node when',
    messages: 'Messages',
    settings: 'Settings',
    codes: 'Error codes',
  },
  {
    file: '.github/zh-CN/README.md',
    language: 'zh-CN',
    install: '安装',
    first: '第一次升级',
    when: '什么时候用哪个节点',
    messages: '消息',
    settings: '设置',
    codes: '错误码',
  },
];

export interface Block {
  readonly language: string;
  readonly code: string;
  /** Number of its first line, counted in the text that was looked at. */
  readonly line: number;
}

export function readReadme(file: string): Promise<string> {
  return fs.readFile(path.join(ROOT, file), 'utf8');
}

/** Every fenced block, without the indent of the list that it stands in. */
export function blocksOf(text: string): Block[] {
  const fence = /^( *)```(\w*)\n([\s\S]*?)^\1```/gm;
  return [...text.matchAll(fence)].map(({ 1: indent = '', 2: language = '', 3: code = '', index }) => ({
    language,
    code: code.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    line: text.slice(0, index).split('\n').length,
  }));
}

/** A chapter, from its heading to the next of its level or above. @throws where there is none */
export function chapter(text: string, heading: string): string {
  const lines = text.split('\n');
  const from = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === heading);
  if (from === -1) throw new Error(`There is no chapter "${heading}"`);
  const level = (/^#+/.exec(lines[from] ?? '') ?? ['#'])[0].length;
  const next = lines.findIndex((line, i) => i > from && new RegExp(`^#{1,${level}} `).test(line));
  return lines.slice(from + 1, next === -1 ? undefined : next).join('\n');
}

/** The rows of all tables of a text, each as its cells, without headings. */
export function rowsOf(text: string): string[][] {
  const lines = text.split('\n');
  return lines
    .filter((line, i) => line.startsWith('|') && !/^\|[ :|-]+$/.test(line) && !isHeading(lines, i))
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

function isHeading(lines: readonly string[], i: number): boolean {
  return /^\|[ :|-]+$/.test(lines[i + 1] ?? '');
}

/** The only block of a chapter that is in a language and, where given, fits a pattern. @throws otherwise */
export function blockOf(text: string, language: string, fits = /(?:)/): string {
  const found = blocksOf(text).filter((block) => block.language === language && fits.test(block.code));
  if (found.length !== 1) throw new Error(`${found.length} ${language} blocks fit ${String(fits)}`);
  return found[0]!.code;
}
