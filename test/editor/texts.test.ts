/** Labels, help and status texts: every language says the same things, and nothing is shown as a bare key. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { OTA_CODES, OtaError } from '../../nodes/lib/protocol';
import { statusOf } from '../../nodes/lib/red/service';
import { foldersOf, ROOT } from '../../scripts/build/paths';
import { type Catalogue, catalogueOf, languagesIn, ORIGINAL, unequalTexts } from '../support/locales';
import { shippedNodes } from '../support/shipped-nodes';
import { temporaryFolder } from '../support/temporary-folder';
import { cleanup } from '../support/cleanup';

const LANGUAGES = languagesIn();
const folders = foldersOf(ROOT);
/** Node-RED cuts longer ones off on small screens. */
const STATUS_LIMIT = 20;

/** What takes the place of a variable in a key of the sources, e.g. `common.status.${delivery}`. */
const VARIABLE_KEYS: Readonly<Record<string, readonly string[]>> = {
  'common.status.': [
    ...OTA_CODES.map((code) => statusOf(new OtaError(code, '')).slice('common.status.'.length)),
    ...['offline', 'refused', 'timeout'],
  ],
  'ota-progress.status.': ['upgrade', 'download', 'verification', 'flashing'],
  'ota-verify.status.': ['downloading', 'checking'],
  'ota-inform.name.': ['platform', 'device'],
  'ota-inform.port.': ['platform', 'device'],
  'ota-push.name.': ['platform', 'device'],
  'ota-progress.name.': ['platform', 'device'],
  'ota-progress.port.': ['platform', 'device'],
  'ota-service.': ['note.madeClientId', 'note.sharedSession'],
};

/** Headings of help, as Node-RED's own nodes have them. A language without an entry needs as many as the original. */
const HEADINGS: Readonly<
  Record<string, { readonly node: readonly string[]; readonly config: readonly string[] }>
> = {
  'en-US': {
    node: ['Properties', 'Inputs', 'Outputs', 'Details', 'References'],
    config: ['Properties', 'Details', 'References'],
  },
  'zh-CN': { node: ['属性', '输入', '输出', '详细', '参考'], config: ['属性', '详细', '参考'] },
};

async function sources(folder: string, ending: string): Promise<{ file: string; text: string }[]> {
  const names = (await fs.readdir(folder, { recursive: true })).filter((name) => name.endsWith(ending));
  return Promise.all(
    names.map(async (file) => ({ file, text: await fs.readFile(path.join(folder, file), 'utf8') })),
  );
}

/**
 * Keys such as `ota-push.status.held` and `common.label.name` in a source; variable ones spelt out, or with a
 * `*` at the end where VARIABLE_KEYS doesn't know what follows.
 */
function keysIn(text: string, node: string): string[] {
  const found = new Set<string>();
  for (const [key] of text.matchAll(new RegExp(`\\b(?:common|${node})\\.[A-Za-z0-9.]*[A-Za-z0-9]`, 'g'))) {
    if (!/\.(?:json|html|editor|js|ts|svg)$/.test(key)) found.add(key);
  }
  for (const [, prefix] of text.matchAll(new RegExp(`\`((?:common|${node})\\.[A-Za-z.]*)\\$\\{`, 'g'))) {
    // A status is asked for by another process than the one that has the texts: each must be known here.
    const values = VARIABLE_KEYS[prefix!] ?? (prefix!.includes('.status.') ? undefined : ['*']);
    assert.ok(values, `VARIABLE_KEYS says what can follow "${prefix}"`);
    found.delete(prefix!.replace(/\.$/, ''));
    for (const value of values) found.add(prefix! + value);
  }
  return [...found];
}

function has(catalogue: Catalogue, key: string): boolean {
  if (!key.endsWith('*')) return catalogue.has(key);
  return [...catalogue.keys()].some((candidate) => candidate.startsWith(key.slice(0, -1)));
}

describe('the texts of the nodes', () => {
  const later = cleanup();
  let names: string[];
  const configs = new Set<string>();
  const catalogues = new Map<string, Catalogue>();
  const catalogue = (node: string, language: string): Catalogue => catalogues.get(`${node} ${language}`)!;

  before(async () => {
    names = Object.keys(await shippedNodes());
    for (const name of names) {
      const script = await fs.readFile(path.join(folders.nodes, name, `${name}.editor.ts`), 'utf8');
      if (script.includes("category: 'config'")) configs.add(name);
      for (const language of LANGUAGES) {
        catalogues.set(`${name} ${language}`, catalogueOf(name, language));
      }
    }
  });

  it('have the same keys, and help, in every language', () => {
    assert.deepEqual(unequalTexts(), []);
  });

  it('are missed where another language lacks a key or a help page', async () => {
    const { path: root } = later(await temporaryFolder('ota-languages-'));
    for (const folder of ['lib/red', 'lib/red/start-flows', ...names]) {
      const locales = path.join('nodes', folder, 'locales');
      await fs.cp(path.join(ROOT, locales), path.join(root, locales), { recursive: true });
      await fs.cp(path.join(root, locales, ORIGINAL), path.join(root, locales, 'de-DE'), { recursive: true });
    }
    assert.deepEqual(unequalTexts(root), [], 'a whole third language');
    const own = path.join(root, 'nodes/ota-push/locales/de-DE');
    const { 'ota-push': texts } = JSON.parse(await fs.readFile(path.join(own, 'ota-push.json'), 'utf8')) as {
      'ota-push': { label: { rate?: string } };
    };
    delete texts.label.rate;
    await fs.writeFile(path.join(own, 'ota-push.json'), JSON.stringify({ 'ota-push': texts }));
    await fs.rm(path.join(own, 'ota-push.html'));
    const menu = path.join(root, 'nodes/lib/red/start-flows/locales/de-DE/start-flows.json');
    await fs.writeFile(menu, (await fs.readFile(menu, 'utf8')).replace('"menu"', '"other"'));
    assert.deepEqual(unequalTexts(root), [
      'start-flows, de-DE: start-flows.menu',
      'start-flows, de-DE: start-flows.other',
      'ota-push, de-DE: ota-push.label.rate',
      'ota-push, de-DE: help',
    ]);
  });

  it('have the same places for values in every language', () => {
    const places = (text: string): string[] => (text.match(/__[a-zA-Z]+__/g) ?? []).sort();
    for (const name of names) {
      for (const language of LANGUAGES) {
        // Node-RED fills in __name__, in the editor and in the runtime; {{name}} would be shown as it is.
        for (const [key, text] of catalogue(name, language))
          assert.doesNotMatch(text, /\{\{/, `${language} ${key}`);
        for (const [key, text] of catalogue(name, ORIGINAL))
          assert.deepEqual(places(catalogue(name, language).get(key)!), places(text), `${language} ${key}`);
      }
    }
  });

  it('are there for every key that a script or a form of the editor asks for', async () => {
    for (const name of names) {
      const folder = path.join(folders.nodes, name);
      const own = [...(await sources(folder, '.editor.ts')), ...(await sources(folder, `${name}.html`))];
      for (const { file, text } of own.filter(({ file }) => !file.startsWith('locales'))) {
        for (const key of keysIn(text, name)) {
          assert.ok(has(catalogue(name, 'en-US'), key), `${name}/${file}: ${key}`);
        }
      }
    }
  });

  it('are there for every reason why a value is refused', async () => {
    const shared = await sources(path.join(folders.nodes, 'lib/red/editor'), '.ts');
    for (const name of names) {
      for (const { text } of [...shared, ...(await sources(path.join(folders.nodes, name), '.editor.ts'))]) {
        for (const [, key] of text.matchAll(/\{ key: '(\w+)'/g)) {
          assert.ok(catalogue(name, 'en-US').has(`common.reason.${key}`), `${name}: ${key}`);
        }
      }
    }
  });

  it('are there for every status that a node shows', async () => {
    const isKey = /^[a-z-]+\.status\./;
    const shared = (await sources(path.join(folders.nodes, 'lib/red'), '.ts')).filter(
      ({ file }) => !file.startsWith('editor'),
    );
    for (const name of names) {
      const own = (await sources(path.join(folders.nodes, name), '.ts')).filter(
        ({ file }) => !file.endsWith('.editor.ts'),
      );
      for (const { file, text } of [...own, ...shared]) {
        for (const key of keysIn(text, name).filter((found) => isKey.test(found))) {
          for (const language of LANGUAGES) {
            assert.ok(catalogue(name, language).has(key), `${file}: ${key} (${language})`);
          }
        }
      }
    }
  });

  it(`keep each status under ${STATUS_LIMIT} characters`, () => {
    for (const [where, texts] of catalogues) {
      for (const [key, text] of texts) {
        // A value takes the place of its name, mostly a count.
        const shown = text.replaceAll(/__[a-zA-Z]+__/g, '99');
        if (key.includes('.status.')) assert.ok(shown.length < STATUS_LIMIT, `${where} ${key}: ${text}`);
      }
    }
  });

  it('include help in every language, with the settings, what goes in, what comes out and the details', async () => {
    for (const name of names) {
      for (const language of LANGUAGES) {
        const file = path.join(folders.nodes, name, 'locales', language, `${name}.html`);
        const help = await fs.readFile(file, 'utf8');
        assert.match(help, new RegExp(`^<script type="text/html" data-help-name="${name}">\\s*<p>`), file);
        const headings = [...help.matchAll(/<h3>(.*?)<\/h3>/g)].map(([, text]) => text);
        const kind = configs.has(name) ? 'config' : 'node';
        assert.ok(headings.length >= HEADINGS[ORIGINAL]![kind].length, file);
        for (const heading of HEADINGS[language]?.[kind] ?? []) {
          assert.ok(headings.includes(heading), `${file}: ${heading}`);
        }
      }
    }
  });

  it('draw in the help no wider than the sidebar is', async () => {
    for (const name of names) {
      for (const language of LANGUAGES) {
        const file = path.join(folders.nodes, name, 'locales', language, `${name}.html`);
        for (const [, drawing] of (await fs.readFile(file, 'utf8')).matchAll(/<pre[^>]*>(.*?)<\/pre>/gs)) {
          for (const line of drawing!.split('\n')) assert.ok(line.length <= 30, `${file}: ${line}`);
        }
      }
    }
  });

  it('have Chinese punctuation in Chinese sentences', async () => {
    for (const name of names) {
      const help = path.join(folders.nodes, name, 'locales', 'zh-CN', `${name}.html`);
      for (const text of [...catalogue(name, 'zh-CN').values(), await fs.readFile(help, 'utf8')]) {
        assert.doesNotMatch(
          text.replace(/&[a-z]+;/g, ''),
          /[\u4e00-\u9fff][,;:?!()]|[,;:?!()][\u4e00-\u9fff]/,
          name,
        );
      }
    }
  });

  /** Environment variables that are named as errors are. */
  const VARIABLES = new Set(['OTA_START_PAUSED']);

  it('name the same errors in the help of every language, and only errors that exist', async () => {
    for (const name of names) {
      const [original = [], ...others] = await Promise.all(
        LANGUAGES.map(async (language) => {
          const file = path.join(folders.nodes, name, 'locales', language, `${name}.html`);
          const named = (await fs.readFile(file, 'utf8')).match(/\bOTA_[A-Z_]+/g) ?? [];
          return [...new Set(named)].filter((code) => !VARIABLES.has(code)).sort();
        }),
      );
      for (const codes of others) assert.deepEqual(codes, original, name);
      for (const code of original)
        assert.ok((OTA_CODES as readonly string[]).includes(code), `${name}: ${code}`);
    }
  });
});
