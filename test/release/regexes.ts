/** Every regular expression in the sources, and texts that make one run long if it can. */
import fs from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { ROOT } from '../../scripts/build/paths';

export interface Expression {
  /** `nodes/lib/x.ts:12`. */
  readonly where: string;
  readonly text: string;
}

/** Those whose text is cut before: where, and to how much. */
const BOUNDED: ReadonlyMap<string, string> = new Map();

/** The literals of the runtime's sources. */
export function expressions(): Expression[] {
  const folder = path.join(ROOT, 'nodes');
  const files = fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .sort();
  return files.flatMap((name) => {
    const source = ts.createSourceFile(
      name,
      fs.readFileSync(path.join(folder, name), 'utf8'),
      ts.ScriptTarget.Latest,
      true,
    );
    const found: Expression[] = [];
    const visit = (node: ts.Node): void => {
      if (ts.isRegularExpressionLiteral(node) && !BOUNDED.has(node.text)) {
        const { line } = source.getLineAndCharacterOfPosition(node.getStart());
        found.push({ where: `nodes/${name}:${line + 1}`, text: node.text });
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
    return found;
  });
}

/**
 * Texts of a length: each character that stands in the expression, and some that stand for a class, over and over;
 * then something that fits nothing, so that every way to read it is tried.
 */
export function hostileTexts(expression: string, length: number): string[] {
  const body = expression.slice(1, expression.lastIndexOf('/'));
  const own = new Set(body.replace(/\\./g, '').replace(/[\\^$.*+?()[\]{}|]/g, ''));
  const parts = new Set([...own, 'a', '0', ' ', '\n', '.', '-', '/', 'a.', 'a ', '1.', '/a'].slice(0, 24));
  const whole = [...parts].map((part) => textOf(part, length));
  // What begins anywhere is tried from each place, if the first ones don't fit at once.
  const isAnchored = body.startsWith('^') && !body.includes('|');
  return isAnchored ? whole : [...whole, ...[...parts].map((part) => textOf(part, length, '\u0002'))];
}

/** Most expressions share their texts: making a text of 1 MB takes longer than going through it. */
const made = new Map<string, string>();

function textOf(part: string, length: number, before = ''): string {
  const key = `${before}${part}${length}`;
  const text =
    made.get(key) ?? `${before}${part.repeat(Math.ceil(length / part.length)).slice(0, length)}\u0001!`;
  made.set(key, text);
  return text;
}

/** The expression of a literal. */
export function compile(text: string): RegExp {
  const end = text.lastIndexOf('/');
  return new RegExp(text.slice(1, end), text.slice(end + 1));
}
