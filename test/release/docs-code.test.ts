/** The code in the README and in docs does what they say: it is run, or at least read by the program that it is for. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import type { NodeInitializer, NodeMessage } from 'node-red';
import { readFields } from '../../nodes/lib/packages/library';
import { checkUpgrade, type JsonObject, readStep } from '../../nodes/lib/protocol';
import { readCommand } from '../../nodes/lib/tasks/commands';
import { DEFAULT_POLICY } from '../../nodes/lib/tasks/policy';
import { INSTALL_TIMEOUT_MS, installed, readManifest, ROOT } from '../packed/installed';
import { cleanup } from '../support/cleanup';
import { type Block, blocksOf, fileOf, LANGUAGES, pagesOf, readPage } from '../support/docs';
import { helperNode, tabNode } from '../support/flow';
import { loadFlow } from '../support/helper';
import { requireNodeRed } from '../support/runtime';
import { temporaryFolder } from '../support/temporary-folder';

const run = promisify(execFile);

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

for (const language of LANGUAGES) {
  describe(`the code in the documentation in ${language}`, function () {
    this.timeout(INSTALL_TIMEOUT_MS);
    const later = cleanup();
    let blocks: (Block & { readonly file: string })[];

    before(() => {
      blocks = pagesOf(language).flatMap((page) => {
        const text = readPage(language, page);
        const found = blocksOf(text);
        assert.equal(found.length, (text.match(/^ *```/gm) ?? []).length / 2, page);
        return found.map((block) => ({ ...block, file: fileOf(language, page) }));
      });
    });

    const each = async (kind: string, check: (code: string) => void | Promise<void>): Promise<void> => {
      const chosen = blocks.filter((block) => block.language === kind);
      assert.notEqual(chosen.length, 0);
      for (const { code, line, file } of chosen) {
        try {
          await check(code);
        } catch (error) {
          throw new Error(`${file}, line ${line}: ${String(error)}`, { cause: error });
        }
      }
    };

    it('is of kinds that are checked here', () => {
      const kinds = new Set(blocks.map(({ language }) => language));
      // Those of databases and Mosquitto are run in test/recipes, settings.js and nginx in test/console; EMQX and
      // the tool chains of an ESP32 can't be had for tests; the device in Python is one in test/recipes.
      const checked = ['json', 'js', 'cjs', 'sh', 'sql', 'conf', 'nginx', 'python'];
      assert.deepEqual([...kinds].sort(), [...checked, 'erlang', 'hocon', 'c', 'cpp'].sort());
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
