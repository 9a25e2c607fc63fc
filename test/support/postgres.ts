/**
 * A real PostgreSQL, as Debian packs it: a cluster of its own in a temporary folder, on a socket, and on a port of
 * 127.0.0.1 where one is asked for. It may be stopped the hard way and started again.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Child, startChild } from './child';
import { requireProgram } from './missing';
import { freePort } from './ports';
import { temporaryFolder } from './temporary-folder';
import { until } from './wait';

/** The newest of Debian's folders of PostgreSQL programs, which aren't in PATH. */
export function postgresFolder(): string {
  const root = '/usr/lib/postgresql';
  const versions = fs.existsSync(root) ? fs.readdirSync(root) : [];
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0];
  return newest === undefined ? '' : path.join(root, newest, 'bin');
}

/** Skips (in CI: fails) where PostgreSQL is absent. */
export function requirePostgres(context: Mocha.Context): void {
  requireProgram(context, path.join(postgresFolder(), 'initdb'), 'postgresql');
}

export interface PostgresServerOptions {
  /** Listens on a port of 127.0.0.1 too. */
  readonly tcp?: boolean;
  /** Settings of the server, `name=value`. */
  readonly settings?: readonly string[];
  /** How users of a port log in (initdb's `--auth-host`); the socket trusts everybody. */
  readonly auth?: 'trust' | 'scram-sha-256';
  /** Writes as in operation; otherwise nothing is synced to the disk. */
  readonly durable?: boolean;
}

export interface PostgresServer {
  /** Where its socket lies. */
  readonly folder: string;
  /** Where its data lies. */
  readonly data: string;
  /** 0 without a port. */
  readonly port: number;
  /** The URL of a database; by the socket where it has no port. */
  url(database?: string): string;
  /** Runs statements as the superuser. @throws with what PostgreSQL complains of */
  psql(sql: string, database?: string): string;
  /** Ends it without a clean shutdown (`immediate`), or with one (`fast`). */
  halt(mode: 'immediate' | 'fast'): Promise<void>;
  /** Starts it again after `halt`. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export async function startPostgresServer(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  const { tcp = false, settings = [], auth = 'trust', durable = false } = options;
  const folder = await temporaryFolder('ota-postgres-');
  const data = path.join(folder.path, 'data');
  const port = tcp ? await freePort() : 0;
  if (os.userInfo().uid === 0) fs.chownSync(folder.path, 65534, 65534);
  const init = [
    '-D',
    data,
    '-U',
    'ota',
    '--auth-local=trust',
    `--auth-host=${auth}`,
    '-E',
    'UTF8',
    '-N',
    '--locale=C',
  ];
  const [program = '', ...args] = command('initdb', ...init);
  const made = spawnSync(program, args, { encoding: 'utf8', cwd: folder.path });
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`);
  const [serve = '', ...serveArgs] = command(
    'postgres',
    ...['-D', data, '-k', folder.path],
    ...(durable ? [] : ['-F']),
    ...['-c', tcp ? 'listen_addresses=127.0.0.1' : 'listen_addresses='],
    ...(tcp ? ['-c', `port=${port}`] : []),
    ...settings.flatMap((setting) => ['-c', setting]),
  );
  const socketPort = tcp ? ['-p', String(port)] : [];
  const psql = (sql: string, database = 'postgres'): string => {
    const where = ['-h', folder.path, ...socketPort, '-U', 'ota', '-X', '-q', '-A', '-t'];
    const ran = spawnSync('psql', [...where, '-v', 'ON_ERROR_STOP=1', database], {
      input: sql,
      encoding: 'utf8',
    });
    if (ran.status !== 0) throw new Error(`psql: ${ran.stderr}`);
    return ran.stdout.trim();
  };
  let child: Child | null = null;
  const start = async (): Promise<void> => {
    const started = startChild(serve, serveArgs, { cwd: folder.path });
    child = started;
    try {
      await until(() => isReady(psql), 'PostgreSQL to answer', 60_000);
    } catch (error) {
      throw new Error(`${String(error)}\n${started.lines.join('\n')}`, { cause: error });
    }
  };
  const halt = async (mode: 'immediate' | 'fast'): Promise<void> => {
    await child?.end(mode === 'immediate' ? 'SIGQUIT' : 'SIGINT');
    child = null;
  };
  const stop = async (): Promise<void> => {
    await halt('fast');
    await folder.stop();
  };
  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  const url = (database = 'postgres'): string =>
    tcp
      ? `postgresql://ota:ota@127.0.0.1:${port}/${database}`
      : `postgresql://ota@localhost/${database}?host=${encodeURIComponent(folder.path)}`;
  return { folder: folder.path, data, port, url, psql, halt, start, stop };
}

/** PostgreSQL refuses to run as root. */
function command(program: string, ...args: string[]): string[] {
  const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
  return [...(os.userInfo().uid === 0 ? nobody : []), path.join(postgresFolder(), program), ...args];
}

function isReady(psql: (sql: string) => string): boolean {
  try {
    return psql('SELECT 1') === '1';
  } catch {
    return false;
  }
}
