/** A real Mosquitto (Debian's package) with a folder of its own, for what aedes can't do: MQTT 5, refusals, kills. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { type Child, startChild } from './child';
import { dynsecFile, dynsecPlugin, type DynsecUser } from './dynsec';
import { programPath, requireProgram } from './missing';
import { freePort } from './ports';
import { temporaryFolder } from './temporary-folder';
import { until } from './wait';

/** Skips (in CI: fails) where Mosquitto is absent: `before(function () { mosquittoMissing(this); });` */
export function mosquittoMissing(context: Mocha.Context): void {
  requireProgram(context, 'mosquitto');
}

export interface MosquittoOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** More lines of mosquitto.conf, e.g. `max_inflight_messages 200`. */
  readonly config?: readonly string[];
  /** User names and passwords; without them anybody may connect. */
  readonly users?: Readonly<Record<string, string>>;
  /** Users of the dynamic security plug-in, in place of `users`. */
  readonly dynsec?: readonly DynsecUser[];
  /** PEM files of the server; the URL is then mqtts://. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Keep sessions and queued messages across stop, kill and restart. Default: false. */
  readonly persistence?: boolean;
}

export interface Mosquitto {
  readonly port: number;
  /** `mqtt://127.0.0.1:<port>`, with `tls` `mqtts://localhost:<port>` */
  readonly url: string;
  /** Its own folder: configuration, passwords, database. */
  readonly folder: string;
  /** Its log, oldest first. */
  readonly lines: readonly string[];
  readonly pid: number;
  /** Ends it in good order and removes its folder. */
  stop(): Promise<void>;
  /** SIGKILL. The folder stays, `restart` goes on with it. */
  kill(): Promise<void>;
  /** Ends it in good order, without removing its folder. */
  pause(): Promise<void>;
  /** Starts it again on the same port (ends it first where it runs). */
  restart(): Promise<void>;
}

export async function startMosquitto(options: MosquittoOptions = {}): Promise<Mosquitto> {
  const folder = await temporaryFolder('ota-mosquitto-');
  const port = options.port ?? (await freePort());
  await writeConfig(folder.path, port, options);
  const lines: string[] = [];
  let child = await launch(folder.path, port, lines);
  const pause = (): Promise<void> => child.end('SIGTERM');
  return {
    port,
    url: options.tls ? `mqtts://localhost:${port}` : `mqtt://127.0.0.1:${port}`,
    folder: folder.path,
    get lines() {
      return [...lines, ...child.lines];
    },
    get pid() {
      return child.process.pid ?? 0;
    },
    pause,
    kill: () => child.end('SIGKILL'),
    async restart() {
      await pause();
      lines.push(...child.lines);
      child = await launch(folder.path, port, lines);
    },
    async stop() {
      await pause();
      await folder.stop();
    },
  };
}

async function writeConfig(folder: string, port: number, options: MosquittoOptions): Promise<void> {
  const lines = [`listener ${port} 127.0.0.1`, 'log_dest stderr', 'log_type all', 'set_tcp_nodelay true'];
  // As root it would become the user "mosquitto", who can't write here.
  if (os.userInfo().uid === 0) lines.push('user root');
  if (options.tls) lines.push(`certfile ${options.tls.cert}`, `keyfile ${options.tls.key}`);
  if (options.dynsec) {
    const file = path.join(folder, 'dynamic-security.json');
    await fs.writeFile(file, dynsecFile(options.dynsec));
    lines.push(`plugin ${dynsecPlugin()}`, `plugin_opt_config_file ${file}`);
  }
  if (options.users) {
    const file = path.join(folder, 'passwords');
    const rows = Object.entries(options.users).map(([name, password]) => `${name}:${password}\n`);
    await fs.writeFile(file, rows.join(''), { mode: 0o600 });
    const hashed = spawnSync('mosquitto_passwd', ['-U', file], { encoding: 'utf8' });
    if (hashed.status !== 0) throw new Error(`mosquitto_passwd: ${hashed.stderr}`);
    lines.push(`password_file ${file}`);
  }
  lines.push(`allow_anonymous ${String(!options.dynsec && !options.users)}`);
  lines.push(`persistence ${String(options.persistence ?? false)}`, `persistence_location ${folder}/`);
  // After each change, so that a SIGKILL loses nothing that was acknowledged.
  if (options.persistence) lines.push('autosave_interval 1', 'autosave_on_changes true');
  lines.push(...(options.config ?? []));
  await fs.writeFile(path.join(folder, 'mosquitto.conf'), lines.join('\n') + '\n');
}

async function launch(folder: string, port: number, earlier: readonly string[]): Promise<Child> {
  const child = startChild(programPath('mosquitto'), ['-c', path.join(folder, 'mosquitto.conf')], {
    cwd: folder,
  });
  try {
    await until(() => {
      if (!child.running) return true;
      return accepts(port);
    }, 'Mosquitto to accept connections');
  } catch (error) {
    await child.end('SIGKILL');
    throw error;
  }
  if (!child.running) throw new Error(`Mosquitto ended: ${[...earlier, ...child.lines].join('\n')}`);
  return child;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
