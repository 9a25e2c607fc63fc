/** A setting is whole: it has a field in the form, a label in each language, and both are explained. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { INSTALL_TIMEOUT_MS, ROOT } from '../packed/installed';
import { chapter, headingsOf, LANGUAGES as DOCS, readPage, rowsOf } from '../support/docs';
import { catalogueOf, languagesIn } from '../support/locales';
import { type Definition, definitions } from './definitions';
import { fieldOf } from './form-labels';

/** Kept by the page itself: how far the settings have been brought up to date. */
const WITHOUT_FIELD = ['settingsVersion'];
/** Every node of Node-RED has one; its help needs no line about it. */
const KNOWN = ['name'];

const oneLine = (html: string): string =>
  html
    .replaceAll(/<[^>]+>/g, '')
    .replaceAll(/\s+/g, ' ')
    .replaceAll('&amp;', '&');

/** The terms of the help's list of settings, which comes before the details; none where there is no list. */
function termsOf(node: string, language: string): string[] {
  const file = path.join(ROOT, 'nodes', node, 'locales', language, `${node}.html`);
  const [, ...parts] = fs.readFileSync(file, 'utf8').split('<h3>');
  const [original = ''] = fs
    .readFileSync(path.join(ROOT, 'nodes', node, 'locales/en-US', `${node}.html`), 'utf8')
    .split('<h3>Properties');
  // Headings are translated, and stand in the same order.
  const part = parts[original.split('<h3>').length - 1] ?? '';
  return Array.from(part.matchAll(/<dt[^>]*>([\s\S]*?)(?:<span|<\/dt>)/g), ([, term = '']) =>
    oneLine(term).trim(),
  );
}

describe('every setting of every node', function () {
  this.timeout(INSTALL_TIMEOUT_MS);
  let all: [node: string, setting: string][];
  let pages: Map<string, Definition>;

  /** The labels that a person sees, with the setting that each is for. */
  const labels = (language: string): { node: string; setting: string; label: string }[] =>
    all.flatMap(([node, setting]) => {
      const field = fieldOf(node, setting);
      if (field?.shown !== true || KNOWN.includes(setting)) return [];
      return [{ node, setting, label: catalogueOf(node, language).get(field.label ?? '') ?? '' }];
    });

  before(async () => {
    pages = await definitions();
    all = [...pages].flatMap(([node, { defaults, credentials = {} }]) =>
      Object.keys({ ...defaults, ...credentials }).map((setting): [string, string] => [node, setting]),
    );
    assert.ok(all.length > 50);
  });

  it('has its field in the form', () => {
    const without = all.filter(([node, setting]) => fieldOf(node, setting) === null);
    assert.deepEqual(
      without.filter(([, setting]) => !WITHOUT_FIELD.includes(setting)),
      [],
    );
  });

  for (const language of languagesIn()) {
    it(`has a label in ${language}`, () => {
      assert.deepEqual(
        labels(language).filter(({ label }) => label === ''),
        [],
      );
    });

    it(`is explained by its label in the help in ${language}`, () => {
      const missing = labels(language).filter(({ node, label }) => !termsOf(node, language).includes(label));
      assert.deepEqual(missing, []);
    });
  }

  for (const language of DOCS) {
    it(`is in the reference by its label and its name in ${language}`, () => {
      const text = readPage(language, 'settings');
      const general = headingsOf(text)[1]?.text ?? '';
      const missing = labels(language).filter(({ node, setting, label }) => {
        const rows = [...rowsOf(chapter(text, node)), ...rowsOf(chapter(text, general))];
        return !rows.some(
          ([names = '', settings = '']) =>
            names.includes(`_${label}_`) && settings.includes(`\`${setting}\``),
        );
      });
      assert.deepEqual(missing, []);
    });
  }
});
