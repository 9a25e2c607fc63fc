/**
 * The package as a user gets it: packed by npm, installed from the tarball into a new user directory of
 * Node-RED. Made once for all tests that ask for it, removed after the last. Nothing here reads the sources.
 */
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { NodeRedOptions } from '../support/node-red';
import { type NodeRed, startNodeRed } from '../support/node-red';
import { temporaryFolder, type TemporaryFolder } from '../support/temporary-folder';

const run = promisify(execFile);

export const ROOT = path.resolve(__dirname, '../..');
/** Packing builds, installing asks the registry: both take longer than a test. */
export const INSTALL_TIMEOUT_MS = 600_000;

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly scripts: Readonly<Record<string, string>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly 'node-red': { readonly nodes: Readonly<Record<string, string>> };
}

export interface Installed {
  /** A user directory in which the package is installed. Copy nothing into it: tests share it. */
  readonly folder: string;
  /** Where the package lies in it. */
  readonly packageFolder: string;
}

const folders: TemporaryFolder[] = [];
let packed: Promise<string> | null = null;
const installs = new Map<string, Promise<Installed>>();

after(async () => {
  for (const folder of folders) await folder.stop();
});

async function newFolder(name: string): Promise<string> {
  const folder = await temporaryFolder(name);
  folders.push(folder);
  return folder.path;
}

export async function readManifest(): Promise<Manifest> {
  return JSON.parse(await fs.readFile(path.join(ROOT, 'package.json'), 'utf8')) as Manifest;
}

/** The tarball that OTA_TEST_TARBALL names; else the one that `npm pack` makes, its prepack script included. */
export function tarball(): Promise<string> {
  const given = process.env['OTA_TEST_TARBALL'];
  packed ??= (given === undefined ? pack() : Promise.resolve(given)).catch((error: unknown) => {
    // Whoever asks next tries anew.
    packed = null;
    throw error;
  });
  return packed;
}

async function pack(): Promise<string> {
  const folder = await newFolder('ota-packed-');
  await run('npm', ['pack', '--pack-destination', folder], { cwd: ROOT });
  const [name] = await fs.readdir(folder);
  if (name === undefined) throw new Error('npm pack made no file');
  return path.join(folder, name);
}

/** The paths in the tarball, without the leading `package/`. */
export async function packedFiles(): Promise<string[]> {
  const { stdout } = await run('tar', ['-tzf', await tarball()], { maxBuffer: 16 * 1024 * 1024 });
  return stdout
    .split('\n')
    .filter((line) => line !== '' && !line.endsWith('/'))
    .map((line) => line.replace(/^package\//, ''))
    .sort();
}

/** Installs the tarball as a user of Node-RED does; more arguments for npm, e.g. `--ignore-scripts`. */
export function installed(...npmArguments: string[]): Promise<Installed> {
  const key = npmArguments.join(' ');
  const made =
    installs.get(key) ??
    install(npmArguments).catch((error: unknown) => {
      installs.delete(key);
      throw error;
    });
  installs.set(key, made);
  return made;
}

async function install(npmArguments: string[]): Promise<Installed> {
  const folder = await newFolder('ota-user-');
  await fs.writeFile(path.join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true }));
  const quick = ['--no-audit', '--no-fund', '--prefer-offline'];
  await run('npm', ['install', '--omit=dev', ...quick, ...npmArguments, await tarball()], { cwd: folder });
  const { name } = await readManifest();
  return { folder, packageFolder: path.join(folder, 'node_modules', name) };
}

/** A user directory of one test, with the installed package in it. */
export async function userDirectory(): Promise<TemporaryFolder> {
  const { folder } = await installed();
  const own = await temporaryFolder('ota-red-');
  await fs.copyFile(path.join(folder, 'package.json'), path.join(own.path, 'package.json'));
  await fs.symlink(path.join(folder, 'node_modules'), path.join(own.path, 'node_modules'));
  return own;
}

/** Starts Node-RED in a new user directory with the package; `stop` ends it and removes the directory. */
export async function startInstalled(options: Omit<NodeRedOptions, 'userDir'> = {}): Promise<NodeRed> {
  const directory = await userDirectory();
  try {
    const red = await startNodeRed({ ...options, userDir: directory.path });
    const stop = async (): Promise<void> => {
      await red.stop();
      await directory.stop();
    };
    return Object.create(red, { stop: { value: stop } }) as NodeRed;
  } catch (error) {
    await directory.stop();
    throw error;
  }
}
