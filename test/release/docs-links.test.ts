/** The form of the documentation: sizes, links and anchors, and that every language has the same. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from '../../scripts/build/paths';
import {
  blocksOf,
  fileOf,
  FRONT,
  headingsOf,
  LANGUAGES,
  ORIGINAL,
  pagesOf,
  readPage,
  rowsOf,
} from '../support/docs';

/** Where npm and the flow library, which show the README without the files beside it, find those. */
const BLOB = 'https://github.com/mqtt-ota/node-red-ota/blob/main/';
const RAW = 'https://raw.githubusercontent.com/mqtt-ota/node-red-ota/main/';

/** A front page is read to its end; npm cuts at 64 KB, people at less. */
const MAX_FRONT_BYTES = 20_000;
const MAX_PAGE_BYTES = 64_000;

const read = (file: string): string => fs.readFileSync(path.join(ROOT, file), 'utf8');

const documents = LANGUAGES.flatMap((language) => pagesOf(language).map((page) => fileOf(language, page)));
const others = ['CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'];

/** What a text links to or shows, outside of code: `[label](target)` and `![label](target)`. */
function linksOf(text: string): { target: string; image: boolean }[] {
  const prose = text.replaceAll(/^ *```[\s\S]*?^ *```/gm, '').replaceAll(/`[^`\n]*`/g, '');
  return Array.from(prose.matchAll(/(!?)\[[^\]]*\]\(([^)\s]+)\)/g), ([, sign, target = '']) => ({
    target,
    image: sign === '!',
  }));
}

/** The anchors that GitHub makes of headings. */
function anchorsOf(text: string): string[] {
  return headingsOf(text).map((heading) =>
    heading.text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** Where a link of a file leads to in this repository; null where it leads elsewhere. */
function leadsTo(file: string, target: string): { file: string; anchor?: string } | null {
  const own = target.replace(BLOB, '/').replace(RAW, '/');
  if (/^[a-z]+:/.test(own)) return null;
  const [name = '', anchor] = own.split('#');
  const from = name.startsWith('/') ? '.' : path.dirname(file);
  return {
    file: name === '' ? file : path.normalize(path.join(from, decodeURIComponent(name))).replace(/^\//, ''),
    ...(anchor !== undefined && { anchor: decodeURIComponent(anchor) }),
  };
}

for (const file of [...documents, ...others]) {
  describe(file, () => {
    it('links to files and headings that are there', () => {
      const broken = linksOf(read(file)).filter(({ target }) => {
        const place = leadsTo(file, target);
        if (place === null) return false;
        if (!fs.existsSync(path.join(ROOT, place.file))) return true;
        return place.anchor !== undefined && !anchorsOf(read(place.file)).includes(place.anchor);
      });
      assert.deepEqual(broken, []);
    });

    // Each release has the same headings in it.
    if (file === 'CHANGELOG.md') return;
    it('has no two headings that would get the same anchor', () => {
      const anchors = anchorsOf(read(file));
      assert.deepEqual([...new Set(anchors)], anchors);
    });
  });
}

describe('the documentation', () => {
  for (const language of LANGUAGES) {
    it(`has a front page in ${language} that is short, and no page that GitHub or npm would cut`, () => {
      for (const page of pagesOf(language)) {
        const bytes = Buffer.byteLength(readPage(language, page));
        assert.ok(bytes < (page === FRONT ? MAX_FRONT_BYTES : MAX_PAGE_BYTES), `${page}: ${bytes} bytes`);
      }
    });

    it(`leads from the front page in ${language} to every other page`, () => {
      const file = fileOf(language, FRONT);
      const linked = linksOf(read(file)).map(({ target }) => leadsTo(file, target)?.file);
      const missing = pagesOf(language).filter(
        (page) => page !== FRONT && !linked.includes(fileOf(language, page)),
      );
      assert.deepEqual(missing, []);
    });
  }

  it('has absolute links and raw pictures in README.md, which is shown elsewhere too', () => {
    const relative = linksOf(read('README.md')).filter(
      ({ target, image }) => !target.startsWith('#') && !target.startsWith(image ? RAW : 'https://'),
    );
    assert.deepEqual(relative, []);
  });

  it('is linked from the editor by addresses that are there', () => {
    const pages = fs.readdirSync(path.join(ROOT, 'nodes'), { recursive: true, encoding: 'utf8' });
    let links = 0;
    for (const page of pages.filter((name) => name.endsWith('.html'))) {
      for (const [, target = ''] of read(path.join('nodes', page)).matchAll(/href="([^"]+)"/g)) {
        const place = target.startsWith(BLOB) ? leadsTo('README.md', target) : null;
        if (place === null) continue;
        links++;
        assert.ok(fs.existsSync(path.join(ROOT, place.file)), `${page}: ${target}`);
        if (place.anchor !== undefined)
          assert.ok(anchorsOf(read(place.file)).includes(place.anchor), `${page}: ${target}`);
      }
    }
    assert.ok(links > 0);
  });
});

/** Code on which two languages agree. */
function withoutComments(language: string, code: string): string {
  const sign = { js: '//', sh: '#', conf: '#' }[language];
  return sign === undefined
    ? code
    : code.replaceAll(new RegExp(`(^|\\s)\\s*${sign}.*`, 'g'), '').replaceAll(/\n+/g, '\n');
}

describe('the languages of the documentation', () => {
  for (const language of LANGUAGES.filter((each) => each !== ORIGINAL)) {
    it(`have the same pages: ${language}`, () => {
      assert.deepEqual(pagesOf(language), pagesOf(ORIGINAL));
    });

    for (const page of pagesOf(ORIGINAL)) {
      it(`have the same chapters, tables, code and pictures: ${fileOf(language, page)}`, () => {
        assert.deepEqual(shapeOf(language, page), shapeOf(ORIGINAL, page));
      });
    }
  }
});

function shapeOf(language: string, page: string): object {
  const text = readPage(language, page);
  return {
    headings: headingsOf(text).map(({ level }) => level),
    rows: rowsOf(text).map((cells) => cells.length),
    // Comments are in the language of the page; the code is the same, so that one test of it is enough.
    blocks: blocksOf(text).map((block) => [block.language, withoutComments(block.language, block.code)]),
    pictures: linksOf(text)
      .filter(({ image }) => image)
      .map(({ target }) => path.posix.basename(target).replace(`-${language}.`, '.')),
  };
}
