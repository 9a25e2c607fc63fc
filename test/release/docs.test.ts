/** What the documentation says is so: every error code, node, setting and example is in it, as the product has it. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { OTA_CODES } from '../../nodes/lib/protocol';
import { INSTALL_TIMEOUT_MS, ROOT } from '../packed/installed';
import { chapter, chapterOf, FRONT, LANGUAGES, readPage, rowsOf } from '../support/docs';
import { resolveNodeRed } from '../support/runtime';
import { shippedNodes } from '../support/shipped-nodes';
import { type Definition, definitions } from './definitions';

/** Settings that every node has, described once for all, or that nobody types. */
const COMMON = ['name', 'service', 'store', 'side', 'inputs', 'outputs', 'settingsVersion'];

const namesIn = (cell = ''): string[] => Array.from(cell.matchAll(/`([^`]+)`/g), ([, name]) => name ?? '');
/** A default as the page has it: a number without its commas, a word without its backticks. */
const plain = (cell = ''): string => cell.replaceAll(/[`,]/g, '');

/** What a person reads in the editor: our own labels, Node-RED's, and the names of the examples. */
async function editorWords(language: string): Promise<Set<string>> {
  const own = await fs.readdir(path.join(ROOT, 'nodes'), { recursive: true });
  const files = own
    .filter((file) => file.endsWith('.json') && file.includes(`locales${path.sep}${language}${path.sep}`))
    .map((file) => path.join(ROOT, 'nodes', file))
    .concat(
      resolveNodeRed(`@node-red/editor-client/locales/${language}/editor.json`),
      resolveNodeRed(`@node-red/nodes/locales/${language}/messages.json`),
    );
  const words = new Set<string>();
  const collect = (value: unknown): void => {
    // "Device: reports its version" is quoted as "Device".
    if (typeof value === 'string') words.add(value.trim()).add(value.split(/[:：]/)[0]?.trim() ?? '');
    else if (typeof value === 'object' && value !== null) Object.values(value).forEach(collect);
  };
  for (const file of files) collect(JSON.parse(await fs.readFile(file, 'utf8')));
  const examples = await fs.readdir(path.join(ROOT, 'examples'), { recursive: true });
  for (const file of examples) words.add(path.basename(file, '.json'));
  return words;
}

for (const language of LANGUAGES) {
  describe(`what the documentation says in ${language}`, function () {
    this.timeout(INSTALL_TIMEOUT_MS);
    let nodes: string[];
    let pages: Map<string, Definition>;

    before(async () => {
      nodes = Object.keys(await shippedNodes());
      pages = await definitions();
      assert.deepEqual([...pages.keys()].sort(), nodes.toSorted());
    });

    it('lists every error code once with its cause and its cure, and none that does not exist', () => {
      const rows = rowsOf(readPage(language, 'errors'));
      assert.deepEqual(rows.flatMap(([code]) => namesIn(code)).sort(), OTA_CODES.toSorted());
      for (const [code, ...cells] of rows) {
        assert.equal(cells.length, 2, code);
        assert.ok(
          cells.every((cell) => cell !== ''),
          code,
        );
      }
    });

    it('names every node, also where it says which to take when', () => {
      const when = chapterOf(language, FRONT, 'Which node when');
      for (const node of nodes) assert.ok(when.includes(`\`${node}\``), node);
    });

    it('names the messages of every node that can be placed', () => {
      const rows = readPage(language, 'messages');
      for (const [type, { category }] of pages) {
        if (category !== 'config') assert.ok(rows.includes(`| \`${type}\``), type);
      }
    });

    it('names every setting of every node, and no other, with its default', () => {
      for (const [type, { defaults, credentials = {} }] of pages) {
        const rows = rowsOf(chapter(readPage(language, 'settings'), type));
        const listed = rows.flatMap(([, names]) => namesIn(names));
        const own = Object.keys({ ...defaults, ...credentials }).filter((name) => !COMMON.includes(name));
        assert.deepEqual(listed.toSorted(), own.toSorted(), type);
        for (const [, names, values, byDefault] of rows) {
          assert.notEqual(values, '', `${type}, ${names ?? ''}: its values`);
          for (const name of namesIn(names)) {
            const { value } = defaults[name] ?? {};
            if (value !== undefined && value !== '' && typeof value !== 'object')
              assert.equal(plain(byDefault), plain(String(value as string | boolean)), `${type}, ${name}`);
          }
        }
      }
    });

    it('names the examples that there are, all of them', async () => {
      const files = await fs.readdir(path.join(ROOT, 'examples'), { recursive: true });
      const names = files
        .filter((file) => file.endsWith('.json'))
        .map((file) => path.basename(file, '.json'));
      const rows = rowsOf(chapterOf(language, FRONT, 'Which node when')).filter(([first]) =>
        first?.startsWith('_'),
      );
      const listed = rows.flatMap(([first]) =>
        Array.from(first?.matchAll(/_([\w-]+)_/g) ?? [], ([, name]) => name),
      );
      assert.deepEqual(listed.sort(), names.sort());
    });

    it('quotes words of the editor as they stand there, where it says what to press', async () => {
      const words = await editorWords(language);
      const steps = chapterOf(language, FRONT, 'Install') + chapterOf(language, FRONT, 'Your first upgrade');
      const quoted = Array.from(
        steps.matchAll(/(?<![\w`])_([^_`\n]+)_(?!\w)/g),
        ([, phrase]) => phrase ?? '',
      );
      assert.ok(quoted.length > 10);
      assert.deepEqual(
        quoted.filter((phrase) => !words.has(phrase)),
        [],
      );
    });
  });
}
