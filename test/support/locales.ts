/** The texts of the nodes, by language: which languages there are, what each says, and what one of them lacks. */
import fs from 'node:fs';
import path from 'node:path';
import { foldersOf, ROOT } from '../../scripts/build/paths';

/** The language that the others are compared with. */
export const ORIGINAL = 'en-US';

/** Texts by their keys, e.g. `ota-push.label.rate`. */
export type Catalogue = Map<string, string>;

function flatten(value: unknown, prefix = '', into: Catalogue = new Map()): Catalogue {
  if (typeof value === 'string') into.set(prefix, value);
  else {
    for (const [key, child] of Object.entries(value as object))
      flatten(child, prefix === '' ? key : `${prefix}.${key}`, into);
  }
  return into;
}

function read(file: string): Catalogue {
  return fs.existsSync(file) ? flatten(JSON.parse(fs.readFileSync(file, 'utf8'))) : new Map<string, string>();
}

/** The folders that hold a folder for each language, with the name of the catalogue in it. */
function placesIn(root: string): { folder: string; name: string }[] {
  const { nodes } = foldersOf(root);
  const own = fs.readdirSync(nodes).filter((name) => name.startsWith('ota-'));
  return [
    { folder: path.join(nodes, 'lib/red/locales'), name: 'common' },
    { folder: path.join(nodes, 'lib/red/start-flows/locales'), name: 'start-flows' },
    ...own.map((name) => ({ folder: path.join(nodes, name, 'locales'), name })),
  ];
}

/** Every language that some node has a text in, the original first. */
export function languagesIn(root = ROOT): string[] {
  const found = new Set(placesIn(root).flatMap(({ folder }) => fs.readdirSync(folder)));
  return [ORIGINAL, ...[...found].filter((language) => language !== ORIGINAL).sort()];
}

/** The texts that a node finds: its own and the common ones. */
export function catalogueOf(node: string, language: string, root = ROOT): Catalogue {
  const { nodes } = foldersOf(root);
  const own = read(path.join(nodes, node, 'locales', language, `${node}.json`));
  return new Map([...own, ...read(path.join(nodes, 'lib/red/locales', language, 'common.json'))]);
}

/** Keys and help that a language lacks or has alone, as `ota-push, de-DE: ota-push.label.rate`. */
export function unequalTexts(root = ROOT): string[] {
  const languages = languagesIn(root);
  return placesIn(root).flatMap(({ folder, name }) => {
    const keys = (language: string): string[] => [
      ...read(path.join(folder, language, `${name}.json`)).keys(),
    ];
    const original = new Set(keys(ORIGINAL));
    return languages.flatMap((language) => {
      const own = new Set(keys(language));
      const different = [...original].filter((key) => !own.has(key));
      different.push(...[...own].filter((key) => !original.has(key)));
      if (name.startsWith('ota-') && !fs.existsSync(path.join(folder, language, `${name}.html`)))
        different.push('help');
      return different.map((key) => `${name}, ${language}: ${key}`);
    });
  });
}
