/** What the READMEs say is so: every code, node and setting is in them, and their code does what they say. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { NodeInitializer, NodeMessage } from 'node-red';
import { readFields } from '../../nodes/lib/packages/library';
import { checkUpgrade, type JsonObject, OTA_CODES, readStep } from '../../nodes/lib/protocol';
import { readCommand } from '../../nodes/lib/tasks/commands';
import { DEFAULT_POLICY } from '../../nodes/lib/tasks/policy';
import { INSTALL_TIMEOUT_MS, installed, readManifest, ROOT } from '../packed/installed';
import { cleanup } from '../support/cleanup';
import { helperNode, tabNode } from '../support/flow';
import { loadFlow } from '../support/helper';
import { type Block, blocksOf, chapter, readReadme, READMES, rowsOf } from '../support/readme';
import { requireNodeRed, resolveNodeRed } from '../support/runtime';
import { shippedNodes } from '../support/shipped-nodes';
import { temporaryFolder } from '../support/temporary-folder';
import { type Definition, definitions } from './definitions';

const run = promisify(execFile);

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

for (const readme of READMES) {
  describe(`what ${readme.file} says`, function () {
    this.timeout(INSTALL_TIMEOUT_MS);
    let text: string;
    let nodes: string[];
    let pages: Map<string, Definition>;

    before(async () => {
      text = await readReadme(readme.file);
      nodes = Object.keys(await shippedNodes());
      pages = await definitions();
      assert.deepEqual([...pages.keys()].sort(), nodes.toSorted());
    });

    it('lists every error code once with its cause and its cure, and none that does not exist', () => {
      const rows = rowsOf(chapter(text, readme.codes));
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
      const when = chapter(text, readme.when);
      for (const node of nodes) assert.ok(when.includes(`\`${node}\``), node);
    });

    it('names the messages of every node that can be placed', () => {
      const rows = chapter(text, readme.messages);
      for (const [type, { category }] of pages) {
        if (category !== 'config') assert.ok(rows.includes(`| \`${type}\``), type);
      }
    });

    it('names every setting of every node, and no other, with its default', () => {
      for (const [type, { defaults, credentials = {} }] of pages) {
        const rows = rowsOf(chapter(chapter(text, readme.settings), type));
        const listed = rows.flatMap(([names]) => namesIn(names));
        const own = Object.keys({ ...defaults, ...credentials }).filter((name) => !COMMON.includes(name));
        assert.deepEqual(listed.toSorted(), own.toSorted(), type);
        for (const [names, values, byDefault] of rows) {
          assert.notEqual(values, '', `${type}, ${names ?? ''}: its values`);
          for (const name of namesIn(names)) {
            const { value } = defaults[name] ?? {};
            if (value !== undefined && value !== '' && typeof value !== 'object')
              assert.equal(plain(byDefault), String(value as string | boolean), `${type}, ${name}`);
          }
        }
      }
    });

    it('names the examples that there are, all of them', async () => {
      const files = await fs.readdir(path.join(ROOT, 'examples'), { recursive: true });
      const names = files
        .filter((file) => file.endsWith('.json'))
        .map((file) => path.basename(file, '.json'));
      const rows = rowsOf(chapter(text, readme.when)).filter(([first]) => first?.startsWith('_'));
      const listed = rows.flatMap(([first]) =>
        Array.from(first?.matchAll(/_([\w-]+)_/g) ?? [], ([, name]) => name),
      );
      assert.deepEqual(listed.sort(), names.sort());
    });

    it('quotes words of the editor as they stand there, where it says what to press', async () => {
      const words = await editorWords(readme.language);
      const steps = chapter(text, readme.install) + chapter(text, readme.first);
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

    it('links to files and headings that are there', async () => {
      for (const [, target] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
        await fs.access(path.resolve(ROOT, path.dirname(readme.file), target ?? ''));
      }
      const anchors = Array.from(text.matchAll(/^#+ (.+)$/gm), ([, heading = '']) =>
        heading
          .toLowerCase()
          .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
          .replaceAll(' ', '-'),
      );
      // Of two headings alike the second would have another anchor.
      assert.equal(new Set(anchors).size, anchors.length, 'headings that are alike');
      for (const [, anchor] of text.matchAll(/\]\(#([^)]+)\)/g))
        assert.ok(anchors.includes(anchor ?? ''), anchor);
    });
  });
}

/** Code on which two languages agree. */
function withoutComments(language: string, code: string): string {
  const sign = { js: '//', sh: '#', conf: '#' }[language];
  return sign === undefined
    ? code
    : code.replaceAll(new RegExp(`(^|\\s)\\s*${sign}.*`, 'g'), '').replaceAll(/\n+/g, '\n');
}

describe('the two READMEs', () => {
  it('have the same chapters, tables, code and pictures', async () => {
    const shapes = await Promise.all(
      READMES.map(async ({ file }) => {
        const text = await readReadme(file);
        return {
          headings: Array.from(text.matchAll(/^(#+) /gm), ([, level]) => level),
          rows: rowsOf(text).map((cells) => cells.length),
          // Comments are in the language of the page; the code is the same, so that one test of it is enough.
          blocks: blocksOf(text).map(({ language, code }) => [language, withoutComments(language, code)]),
          pictures: Array.from(
            text.matchAll(/pictures\/([\w-]+?)(?:-en-US|-zh-CN)?\.(?:png|svg)/g),
            ([, name]) => name,
          ),
        };
      }),
    );
    assert.deepEqual(shapes[1], shapes[0]);
  });
});

/** A function node of this Node-RED runs the code; resolves with the messages that it returns, one at least. */
async function runInFunction(func: string, message: NodeMessage): Promise<NodeMessage[]> {
  const functionNode = requireNodeRed('@node-red/nodes/core/function/10-function.js') as NodeInitializer;
  const node = {
    id: 'f',
    type: 'function',
    z: 'tab',
    x: 1,
    y: 1,
    func,
    outputs: 2,
    libs: [],
    wires: [['out'], ['out']],
  };
  const flow = await loadFlow([functionNode], [tabNode(), node, helperNode('out')]);
  try {
    const out = flow.messages('out');
    flow.send('f', message);
    return await out.atLeast(/^return \[/m.test(func) ? 2 : 1);
  } finally {
    await flow.stop();
  }
}

const UPGRADE = {
  version: 'v1.1',
  module: 'default',
  url: 'https://packages.example.com/fw.bin',
  size: 1,
  sign: '0'.repeat(64),
};
const REPORT = {
  accessToken: 'device-1',
  id: '1',
  module: 'default',
  version: 'v1.0',
  at: '2026-11-24T08:00:00Z',
};

/** What comes into the function of a block. */
function inputFor(code: string): NodeMessage {
  if (code.includes('msg.payload.map(')) return { payload: [{ token: 'device-1' }] };
  return { payload: code.includes('const row = msg.payload') ? { ...REPORT } : { ...UPGRADE } };
}

/** Checks what a function made, by the part of the product that takes it. */
function assertMade(message: NodeMessage & Record<string, unknown>): void {
  const payload = message.payload as JsonObject;
  const statement = message['query'] ?? message.topic;
  if (typeof statement === 'string') {
    // Run against real databases in test/recipes.
    const places = statement.match(/\$\d|\?/g) ?? [];
    const values = (message['params'] ?? payload) as unknown[];
    assert.equal(values.length, places.length, 'a value for each place of the statement');
    assert.ok(values.every((value) => value !== undefined));
  } else if (payload['action'] === 'add') readFields(payload, { signMethod: 'SHA256' });
  else if ('action' in payload) readCommand(payload, DEFAULT_POLICY);
  else if ('step' in payload) readStep(payload['step']);
  else if ('url' in payload) {
    checkUpgrade(payload);
    assert.ok(message['accessToken'], 'says which device');
  } else assert.ok(payload['version'], 'a version to report');
}

let dryRun: Promise<unknown> | null = null;

/** That package.json and its lock fit together: asked once. */
function installable(): Promise<unknown> {
  dryRun ??= run('npm', ['ci', '--dry-run', '--prefer-offline', '--ignore-scripts'], { cwd: ROOT });
  return dryRun;
}

/** One command of a shell block: run where that is harmless, else what it names is looked up. */
async function assertCommand(words: string[], folder: string): Promise<void> {
  const { name, scripts, bin } = await readManifest();
  const [program, ...args] = words;
  if (program === 'npm' && args[0] === 'ci') {
    await installable();
  } else if (program === 'npm' && ['start', 'test', 'run'].includes(args[0] ?? '')) {
    const script = args[0] === 'run' ? args[1] : args[0];
    assert.ok(scripts[script ?? ''], `a script "${String(script)}"`);
  } else if (program === 'npm' && args[0] === 'install') {
    // That it can be installed is tested with the packed file.
    assert.equal(args.at(-1), name);
  } else if (program === 'npx') {
    const at = args.indexOf('-p');
    assert.equal(args[at + 1], name);
    const [command = '', ...rest] = args.slice(at + 2);
    assert.ok(bin[command], `a command "${command}"`);
    const { folder: user } = await installed();
    await run(path.join(user, 'node_modules', '.bin', command), rest, { cwd: folder });
  } else {
    await run('bash', ['-n', '-c', words.join(' ')]);
  }
}

for (const { file } of READMES) {
  describe(`the code in ${file}`, function () {
    this.timeout(INSTALL_TIMEOUT_MS);
    const later = cleanup();
    let blocks: Block[];

    before(async () => {
      const text = await readReadme(file);
      blocks = blocksOf(text);
      assert.equal(blocks.length, (text.match(/^ *```/gm) ?? []).length / 2);
    });

    const each = async (language: string, check: (code: string) => void | Promise<void>): Promise<void> => {
      const chosen = blocks.filter((block) => block.language === language);
      assert.notEqual(chosen.length, 0);
      for (const { code, line } of chosen) {
        try {
          await check(code);
        } catch (error) {
          throw new Error(`${file}, line ${line}: ${String(error)}`, { cause: error });
        }
      }
    };

    it('is of kinds that are checked here', () => {
      const kinds = new Set(blocks.map(({ language }) => language));
      // Those of databases and Mosquitto are run in test/recipes; EMQX can't be had for tests.
      const checked = ['json', 'js', 'sh', 'sql', 'conf'];
      assert.deepEqual([...kinds].sort(), [...checked, 'erlang', 'hocon'].sort());
    });

    it('is JSON where it says so', () => each('json', (code) => void JSON.parse(code)));

    it('runs in a function node, and gives what the next node takes', () =>
      each('js', async (code) => {
        const made = await runInFunction(code, inputFor(code));
        for (const message of made) assertMade(message);
      }));

    it('runs in a shell, or names scripts and packages that there are', () =>
      each('sh', async (code) => {
        const folder = later(await temporaryFolder());
        const lines = code.split('\n').map((line) => line.replace(/(^|\s)#.*$/, '').trim());
        for (const line of lines.filter((line) => line !== '')) {
          for (const command of line.split('&&'))
            await assertCommand(command.trim().split(/\s+/), folder.path);
        }
      }));
  });
}
