/** What the README says is so: every code, node and setting is in it, and its code blocks do what they say. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { NodeInitializer, NodeMessage } from 'node-red';
import { readFields } from '../../nodes/lib/packages/library';
import { checkUpgrade, type JsonObject, OTA_CODES } from '../../nodes/lib/protocol';
import { readCommand } from '../../nodes/lib/tasks/commands';
import { DEFAULT_POLICY } from '../../nodes/lib/tasks/policy';
import { INSTALL_TIMEOUT_MS, installed, readManifest, ROOT } from '../packed/installed';
import { cleanup } from '../support/cleanup';
import { helperNode, tabNode } from '../support/flow';
import { loadFlow } from '../support/helper';
import { requireNodeRed } from '../support/runtime';
import { shippedNodes } from '../support/shipped-nodes';
import { temporaryFolder } from '../support/temporary-folder';
import { type Definition, definitions } from './definitions';

const run = promisify(execFile);
const ENGLISH = 'README.md';
const READMES = [ENGLISH, '.github/zh-CN/README.md'];

/** Settings that every node has, described once for all, or that nobody types. */
const COMMON = ['name', 'service', 'store', 'side', 'inputs', 'outputs', 'settingsVersion'];

interface Block {
  readonly language: string;
  readonly code: string;
  /** Number of its first line. */
  readonly line: number;
}

function blocksOf(text: string): Block[] {
  const fence = /^( *)```(\w*)\n([\s\S]*?)^\1```/gm;
  return [...text.matchAll(fence)].map(({ 1: indent = '', 2: language = '', 3: code = '', index }) => ({
    language,
    code: code.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    line: text.slice(0, index).split('\n').length,
  }));
}

/** A chapter, from its heading to the next of its level. */
function chapter(text: string, heading: string): string {
  const found = new RegExp(`^## ${heading}\\n([\\s\\S]*?)(?=^## |$(?![\\s\\S]))`, 'm').exec(text);
  assert.ok(found, `a chapter "${heading}"`);
  return found[1] ?? '';
}

const read = (file: string): Promise<string> => fs.readFile(path.join(ROOT, file), 'utf8');

describe('the README', function () {
  this.timeout(INSTALL_TIMEOUT_MS);
  let text: string;
  let nodes: string[];
  let pages: Map<string, Definition>;

  before(async () => {
    text = await read(ENGLISH);
    nodes = Object.keys(await shippedNodes());
    pages = await definitions();
    assert.deepEqual([...pages.keys()].sort(), nodes.toSorted());
  });

  it('lists every error code once, and none that does not exist', () => {
    const listed = text
      .split('\n')
      .filter((line) => line.startsWith('| `OTA_'))
      .flatMap((line) => line.split('|')[1]?.match(/OTA_[A-Z_]+/g) ?? []);
    assert.deepEqual(listed.toSorted(), OTA_CODES.toSorted());
  });

  it('names every node, also where it says which to take when', () => {
    for (const node of nodes) assert.ok(text.includes(`\`${node}\``), node);
    const when = chapter(text, 'Which node when');
    for (const node of nodes) assert.ok(when.includes(`\`${node}\``), node);
  });

  it('names the messages of every node that can be placed', () => {
    const rows = chapter(text, 'Messages');
    for (const [type, { category }] of pages) {
      if (category !== 'config') assert.ok(rows.includes(`| \`${type}\``), type);
    }
  });

  it('names every setting of every node', () => {
    const settings = chapter(text, 'Settings');
    for (const [type, { defaults }] of pages) {
      const own = new RegExp(`\\*\\*${type}\\*\\*:([\\s\\S]*?)(?=\\*\\*ota-|$(?![\\s\\S]))`).exec(
        settings,
      )?.[1];
      assert.ok(own !== undefined, `the settings of ${type}`);
      const missing = Object.keys(defaults).filter(
        (name) => !COMMON.includes(name) && !own.includes(`\`${name}\``),
      );
      assert.deepEqual(missing, [], type);
    }
  });

  it('names the examples that there are', async () => {
    const files = await fs.readdir(path.join(ROOT, 'examples'), { recursive: true });
    const names = files.map((file) => path.basename(file, '.json'));
    const named = READMES.map(read);
    for (const readme of await Promise.all(named)) {
      for (const [, name] of readme.matchAll(/(?:example|示例) _([\w-]+)_/g)) {
        assert.ok(names.includes(name ?? ''), name);
      }
    }
  });

  it('links to files that are there', async () => {
    for (const file of READMES) {
      for (const [, target] of (await read(file)).matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
        await fs.access(path.resolve(ROOT, path.dirname(file), target ?? ''));
      }
    }
  });
});

/** A function node of this Node-RED runs the code; resolves with the message that it returns. */
async function runInFunction(func: string, message: NodeMessage): Promise<NodeMessage> {
  const functionNode = requireNodeRed('@node-red/nodes/core/function/10-function.js') as NodeInitializer;
  const node = {
    id: 'f',
    type: 'function',
    z: 'tab',
    x: 1,
    y: 1,
    func,
    outputs: 1,
    libs: [],
    wires: [['out']],
  };
  const flow = await loadFlow([functionNode], [tabNode(), node, helperNode('out')]);
  try {
    const out = flow.messages('out');
    flow.send('f', message);
    return (await out.atLeast(1))[0]!;
  } finally {
    await flow.stop();
  }
}

const REPORT = {
  accessToken: 'device-1',
  id: '1',
  module: 'default',
  version: 'v1.0',
  at: '2026-11-24T08:00:00Z',
};

/** Checks what a function made, by the part of the product that takes it. */
function assertMade(message: NodeMessage & Record<string, unknown>): void {
  const payload = message.payload as JsonObject;
  if (payload['action'] === 'add') readFields(payload, { signMethod: 'SHA256' });
  else if ('action' in payload) readCommand(payload, DEFAULT_POLICY);
  else if ('url' in payload) {
    checkUpgrade(payload);
    assert.ok(message['accessToken'], 'says which device');
  } else {
    const { topic, params } = message;
    const highest = Math.max(...Array.from(String(topic).matchAll(/\$(\d)/g), ([, digit]) => Number(digit)));
    assert.equal((params as unknown[]).length, highest, 'a value for each place of the statement');
    assert.ok((params as unknown[]).every((value) => value !== undefined));
  }
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

for (const file of READMES) {
  describe(`the code in ${file}`, function () {
    this.timeout(INSTALL_TIMEOUT_MS);
    const later = cleanup();
    let blocks: Block[];

    before(async () => {
      blocks = blocksOf(await read(file));
      assert.equal(blocks.length, ((await read(file)).match(/^ *```/gm) ?? []).length / 2);
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
      for (const kind of kinds) assert.ok(['', 'json', 'js', 'sh'].includes(kind), kind);
    });

    it('is JSON where it says so', () => each('json', (code) => void JSON.parse(code)));

    it('runs in a function node, and gives what the next node takes', () =>
      each('js', async (code) => {
        const made = await runInFunction(code, { payload: { ...REPORT } });
        assertMade(made);
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
