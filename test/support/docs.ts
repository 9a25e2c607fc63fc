/** The README and docs/ as tests see them: languages, pages, chapters, tables and code blocks. */
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from '../../scripts/build/paths';

/** The language in which a page is written first. Its front page is README.md, where npm and GitHub look for it. */
export const ORIGINAL = 'en-US';

/** The front page of a language, by the name that it has among the pages. */
export const FRONT = 'README';

const DOCS = path.join(ROOT, 'docs');

/** The languages of the documentation: the folders of docs/, the original first. */
export const LANGUAGES: readonly string[] = fs
  .readdirSync(DOCS)
  .filter((name) => /^[a-z]{2}(-[A-Z]{2})?$/.test(name))
  .sort((a, b) => Number(b === ORIGINAL) - Number(a === ORIGINAL));

/** The pages of a language, without `.md`: the front page, then those of its folder. */
export function pagesOf(language: string): string[] {
  const names = fs.readdirSync(path.join(DOCS, language), { recursive: true, encoding: 'utf8' });
  const pages = names.filter((name) => name.endsWith('.md')).map((name) => name.slice(0, -'.md'.length));
  return [FRONT, ...pages.filter((name) => name !== FRONT).sort()];
}

/** Where a page is, seen from the root of the repository. */
export function fileOf(language: string, page: string): string {
  return language === ORIGINAL && page === FRONT ? 'README.md' : `docs/${language}/${page}.md`;
}

export function readPage(language: string, page: string): string {
  return fs.readFileSync(path.join(ROOT, fileOf(language, page)), 'utf8');
}

/**
 * A chapter of a page in any language, by its English heading: translations have the same chapters in the same
 * order.
 * @throws where there is none
 */
export function chapterOf(language: string, page: string, english: string): string {
  const at = headingsOf(readPage(ORIGINAL, page)).findIndex(({ text }) => text === english);
  const heading = headingsOf(readPage(language, page))[at];
  if (heading === undefined) throw new Error(`${fileOf(language, page)} has no chapter for "${english}"`);
  return chapter(readPage(language, page), heading.text);
}

export interface Heading {
  /** 1 for `#`. */
  readonly level: number;
  readonly text: string;
  /** Index of its line. */
  readonly line: number;
}

/** All headings, without lines of code blocks that look like some. */
export function headingsOf(text: string): Heading[] {
  let inCode = false;
  return text.split('\n').flatMap((line, index) => {
    if (/^ *```/.test(line)) inCode = !inCode;
    const [, signs = '', words = ''] = (!inCode && /^(#+) (.+)$/.exec(line)) || [];
    return signs === '' ? [] : [{ level: signs.length, text: words, line: index }];
  });
}

export interface Block {
  readonly language: string;
  readonly code: string;
  /** Number of its first line, counted in the text that was looked at. */
  readonly line: number;
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
  const headings = headingsOf(text);
  const from = headings.findIndex((each) => each.text === heading);
  const { level, line } = headings[from] ?? { level: 0, line: -1 };
  if (line === -1) throw new Error(`There is no chapter "${heading}"`);
  const next = headings.find((each, i) => i > from && each.level <= level);
  return text
    .split('\n')
    .slice(line + 1, next?.line)
    .join('\n');
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
