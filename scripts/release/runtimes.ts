/** The releases of Node-RED and Node.js that the tests run on, and how each is come by. */
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from '../build/paths';
import { installedTool, newest } from './tools';

/** What a run of the tests covers: all of it, or what depends on Node-RED and Node.js the most. */
export type Scope = 'all' | 'runtime';

export interface Runtime {
  /** Of Node-RED: a range or tag; null is the one of this project. */
  readonly nodeRed: string | null;
  /** Of Node.js: a range or tag; null is the one that runs this. */
  readonly node: string | null;
  readonly scope: Scope;
}

/**
 * The oldest that package.json admits comes from the project's own node_modules and runs everything. The others
 * run what touches Node-RED: with all of it three times the check would take too long.
 */
export const RUNTIMES: readonly Runtime[] = [
  { nodeRed: null, node: null, scope: 'all' },
  { nodeRed: '5', node: '22', scope: 'runtime' },
  { nodeRed: 'latest', node: 'latest', scope: 'runtime' },
];

const TESTS = path.join(ROOT, 'test');
/** Specs that one process of mocha runs. */
export interface Lane {
  readonly specs: readonly string[];
  /** About how long it takes beside others, in minutes: those that take long begin first, so that none is left over. */
  readonly minutes: number;
}

/**
 * Folders that a run of everything takes together in one process. Each starts Node-RED or a browser of its own, and
 * `packed` and `release` share one installation of the packed package; the other folders are a process together.
 */
const LANES = [
  { folders: ['console'], minutes: 11 },
  { folders: ['nodes'], minutes: 7 },
  { folders: ['chaos', 'gateway'], minutes: 7 },
  { folders: ['packed', 'release'], minutes: 5 },
  { folders: ['demo', 'editor'], minutes: 4 },
] as const;
const REST_MINUTES = 8;

/** Folders whose tests touch Node-RED the most, as above. */
const RUNTIME_LANES = [
  { folders: ['nodes'], minutes: 5 },
  { folders: ['packed', 'release'], minutes: 4 },
] as const;
/** What of them only reads this repository says the same on every release of Node-RED and Node.js. */
const READS_ONLY: ReadonlySet<string> = new Set(
  [
    'check',
    'contributing',
    'docs',
    'docs-links',
    'pack',
    'regexes',
    'scorecard',
    'secrets',
    'security',
    'settings',
    'workflows',
  ].map((name) => `test/release/${name}.test.ts`),
);

/** The specs of a scope, those of one process of mocha in one lane; no file is in two of them. */
export function lanesOf(scope: Scope): Lane[] {
  if (scope === 'runtime') {
    const files = testFiles().filter((file) => !READS_ONLY.has(file));
    return RUNTIME_LANES.map(({ folders, minutes }) => ({
      specs: files.filter((file) => folders.some((folder) => file.startsWith(`test/${folder}/`))),
      minutes,
    }));
  }
  const named: readonly string[] = LANES.flatMap(({ folders }) => folders);
  const all = new Set(testFiles().map((file) => file.split('/')[1] ?? ''));
  const rest = [...all].filter((folder) => !named.includes(folder));
  return [
    { specs: specsIn(rest), minutes: REST_MINUTES },
    ...LANES.map(({ folders, minutes }) => ({ specs: specsIn(folders), minutes })),
  ];
}

const specsIn = (folders: readonly string[]): string[] =>
  folders.map((folder) => `test/${folder}/**/*.test.ts`);

/** Every file of tests, by its path from the root, with slashes. */
function testFiles(): string[] {
  const files = fs.readdirSync(TESTS, { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => path.posix.join('test', ...file.split(path.sep)))
    .sort();
}

export interface Prepared {
  /** For a heading, e.g. `Node-RED 5.0.7 on Node.js 22.23.3`. */
  readonly title: string;
  /** Before all others in PATH, so that npm and all that tests start run on it, too. */
  readonly binFolder: string;
  /** In whose node_modules Node-RED is; null: the project's. */
  readonly nodeRedFolder: string | null;
}

export async function prepare({ nodeRed, node }: Runtime, ownNodeRed: string): Promise<Prepared> {
  const red = nodeRed === null ? null : await newest('node-red', nodeRed);
  // Node.js as a package of npm: the program of one platform, without an install script.
  const nodePackage = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const js = node === null ? null : await newest(nodePackage, node);
  return {
    title: `Node-RED ${red ?? ownNodeRed} on Node.js ${js ?? process.versions.node}`,
    binFolder:
      js === null
        ? path.dirname(process.execPath)
        : path.join(await installedTool(nodePackage, js), 'node_modules', nodePackage, 'bin'),
    nodeRedFolder: red === null ? null : await installedTool('node-red', red),
  };
}
