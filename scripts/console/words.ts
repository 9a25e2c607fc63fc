/**
 * All words of the console: those of words.json, and the reasons why a rule refuses a value, as the nodes' editor
 * says them.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from '../build/paths';

type Words = Record<string, Record<string, string>>;

const LOCALES = path.join(ROOT, 'nodes/lib/red/locales');
/** Of the fields that a page asks for. */
const RULES =
  'missing text number integer atLeast between choice flag list separators waves versions reasons windowForm windowEmpty ' +
  'time timeZone days';

/** A reason is `rule.<key>`, with its values in single braces like all words of the console. */
export function allWords(): Words {
  const words = readJson(path.join(__dirname, 'words.json')) as Words;
  for (const language of readdirSync(LOCALES)) {
    const { common } = readJson(path.join(LOCALES, language, 'common.json')) as {
      common: { reason: Record<string, string> };
    };
    for (const key of RULES.split(' ')) {
      const text = (common.reason[key] ?? '').replace(/__(\w+)__/g, '{$1}');
      words[`rule.${key}`] = { ...words[`rule.${key}`], [language]: text };
    }
  }
  return words;
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'));
}
