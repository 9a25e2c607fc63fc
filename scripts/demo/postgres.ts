/**
 * A PostgreSQL of the demo's own, as Debian packs it: in a temporary folder, on a port of 127.0.0.1, with a password
 * that nobody else knows. Never touches a PostgreSQL that the machine runs already.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';

export interface DemoPostgres {
  /** With user and password. */
  readonly url: string;
  stop(): Promise<void>;
}

const DEBIAN = '/usr/lib/postgresql';
const START_MS = 60_000;
/** PostgreSQL refuses to run as root: root starts it as nobody. */
const NOBODY = 65_534;
const isRoot = os.userInfo().uid === 0;

/** The newest of Debian's folders of PostgreSQL programs, which aren't in PATH; null where it isn't installed. */
export function postgresPrograms(): string | null {
  const versions = fs.existsSync(DEBIAN) ? fs.readdirSync(DEBIAN) : [];
  return (
    versions
      .sort((a, b) => Number(b) - Number(a))
      .map((version) => path.join(DEBIAN, version, 'bin'))
      .find((folder) => fs.existsSync(path.join(folder, 'initdb'))) ?? null
  );
}

/** Starts it and resolves when it answers. @throws Error with what it complained of */
export async function startPostgres(
  programs: string,
  port: number,
  signal: AbortSignal,
): Promise<DemoPostgres> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ota-demo-postgres-'));
  const remove = (): void => fs.rmSync(folder, { recursive: true, force: true });
  const password = randomBytes(16).toString('hex');
  try {
    makeDatabase(programs, folder, password);
  } catch (error) {
    remove();
    throw error;
  }
  // Nothing is synced to the disk: the demo ends Node-RED hard, never the database.
  const args = ['-D', path.join(folder, 'data'), '-k', folder, '-F', '-p', String(port)];
  const [program, ...rest] = asPlainUser(path.join(programs, 'postgres'), ...args, '-h', '127.0.0.1');
  // Ctrl-C reaches this process only: Node-RED is ended before its database.
  const child = spawn(program, rest, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  let complaint = '';
  child.stderr.on('data', (text: Buffer) => (complaint = `${complaint}${text.toString()}`.slice(-2000)));
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGINT');
    await ended;
    remove();
  };
  const url = `postgresql://ota:${password}@127.0.0.1:${port}/postgres`;
  try {
    await answers(url, child, signal);
  } catch (error) {
    await stop();
    signal.throwIfAborted();
    throw new Error(`PostgreSQL does not answer on port ${port}.\n${complaint}`, { cause: error });
  }
  return { url, stop };
}

function makeDatabase(programs: string, folder: string, password: string): void {
  const secret = path.join(folder, 'password');
  fs.writeFileSync(secret, password, { mode: 0o600 });
  if (isRoot) for (const each of [folder, secret]) fs.chownSync(each, NOBODY, NOBODY);
  const login = ['-U', 'ota', '--auth=scram-sha-256', `--pwfile=${secret}`];
  const [program, ...args] = asPlainUser(
    path.join(programs, 'initdb'),
    ...['-D', path.join(folder, 'data'), '-E', 'UTF8', '--locale=C', '-N', ...login],
  );
  const made = spawnSync(program, args, { encoding: 'utf8', cwd: folder });
  if (made.status !== 0) throw new Error(`PostgreSQL can't make a database: ${made.stderr}`);
}

function asPlainUser(program: string, ...args: string[]): [string, ...string[]] {
  if (!isRoot) return [program, ...args];
  return ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', program, ...args];
}

async function answers(url: string, child: ChildProcess, signal: AbortSignal): Promise<void> {
  for (let waited = 0; ; waited += 200) {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: 5000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      if (child.exitCode !== null || waited > START_MS || signal.aborted) throw error;
    }
    await sleep(200);
  }
}
