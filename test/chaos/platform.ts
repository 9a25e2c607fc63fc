/**
 * The platform under test: Mosquitto, a proxy before it, Node-RED with the built package. Brings the faults. Commands
 * go in by HTTP, and what the node answers comes back the same way.
 */
import fs from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSqlite } from '../../nodes/lib/tasks/database/sqlite/driver';
import { brokerNode, tabNode } from '../support/flow';
import { fakeTime } from '../support/fake-time';
import { type Mosquitto, startMosquitto } from '../support/mosquitto';
import { type DeployType, type FlowNode, type NodeRed, startNodeRed } from '../support/node-red';
import { freePort } from '../support/ports';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy';
import { temporaryFolder, type TemporaryFolder } from '../support/temporary-folder';

const ROOT = path.resolve(__dirname, '../..');
/** Room for the store, and for little else. */
const DISK = '48m';

/** What a command came to: an answer of the node, or its error. */
export type Answer =
  | { readonly ok: true; readonly payload: Record<string, unknown> }
  | { readonly ok: false; readonly code: string }
  /** Nobody knows whether it was done: the process was killed meanwhile. */
  | null;

export class Platform {
  readonly broker: Mosquitto;
  /** The node's own complaints about two answers to one command. */
  readonly complaints: string[] = [];
  readonly #proxy: TcpProxy;
  readonly #folder: TemporaryFolder;
  readonly #port: number;
  readonly #protocolVersion: 4 | 5;
  readonly #hasDisk: boolean;
  #red: NodeRed | null = null;

  private constructor(
    broker: Mosquitto,
    proxy: TcpProxy,
    folder: TemporaryFolder,
    port: number,
    protocolVersion: 4 | 5,
    hasDisk: boolean,
  ) {
    this.broker = broker;
    this.#proxy = proxy;
    this.#folder = folder;
    this.#port = port;
    this.#protocolVersion = protocolVersion;
    this.#hasDisk = hasDisk;
  }

  /** @param persistence whether the broker keeps its state on disk, for kills of it; that makes it slow */
  static async start(protocolVersion: 4 | 5, { persistence = true } = {}): Promise<Platform> {
    const folder = await temporaryFolder('ota-chaos-');
    const disk = path.join(folder.path, 'disk');
    await fs.mkdir(disk);
    await fs.writeFile(path.join(folder.path, 'clock'), '+0');
    // Only root may: elsewhere the disk is never full.
    const hasDisk = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', disk]).status === 0;
    const broker = await startMosquitto({
      persistence,
      config: ['max_queued_messages 0', 'max_inflight_messages 200'],
    });
    const proxy = await startTcpProxy(broker.port);
    const port = await freePort();
    const platform = new Platform(broker, proxy, folder, port, protocolVersion, hasDisk);
    try {
      await platform.#launch(true);
    } catch (error) {
      await platform.stop();
      throw error;
    }
    return platform;
  }

  /** A command; `within` milliseconds there must be an answer, or the process must have gone. */
  async ask(payload: Record<string, unknown>, within = 20_000): Promise<Answer> {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.#port}/ask`, {
        method: 'POST',
        // One that is kept open may be closed in the moment in which it is used again.
        headers: { 'content-type': 'application/json', connection: 'close' },
        body: JSON.stringify(payload),
        signal: AbortSignal.timeout(within),
      });
      const body = (await answer.json()) as Record<string, unknown>;
      if (answer.status === 200) return { ok: true, payload: body };
      return { ok: false, code: String(body['code']) };
    } catch {
      return null;
    }
  }

  get log(): readonly string[] {
    return this.#red?.lines ?? [];
  }

  // Faults. Each is over when its promise resolves.

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
    await this.#launch(false);
  }

  async restart(): Promise<void> {
    await this.#end('SIGTERM');
    await this.#launch(false);
  }

  async deploy(type: DeployType): Promise<void> {
    await this.#red?.deploy(this.#flows(), type);
  }

  cut(): void {
    this.#proxy.cut();
  }

  async blackhole(ms: number): Promise<void> {
    this.#proxy.blackhole();
    await sleep(ms);
    this.#proxy.heal();
    this.#proxy.cut();
  }

  async restartBroker(ms: number): Promise<void> {
    await this.broker.pause();
    await sleep(ms);
    await this.broker.restart();
  }

  /** Another process has the database's write lock. */
  async lockStore(ms: number): Promise<void> {
    const db = openSqlite(this.#store);
    try {
      db.exec('BEGIN IMMEDIATE');
      await sleep(ms);
      db.exec('ROLLBACK');
    } catch {
      // The node has it just now: another time.
    } finally {
      db.close();
    }
  }

  async fillDisk(ms: number): Promise<void> {
    if (!this.#hasDisk) return;
    const file = path.join(this.#folder.path, 'disk', 'full');
    spawnSync('dd', ['if=/dev/zero', `of=${file}`, 'bs=64k'], { stdio: 'ignore' });
    await sleep(ms);
    await fs.rm(file, { force: true });
  }

  /** The wall clock of Node-RED jumps; it stays there until it is set again. */
  async setClock(offsetSeconds: number): Promise<void> {
    const sign = offsetSeconds < 0 ? '-' : '+';
    await fs.writeFile(path.join(this.#folder.path, 'clock'), `${sign}${Math.abs(offsetSeconds)}`);
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
    await this.#proxy.stop();
    await this.broker.stop();
    if (this.#hasDisk) spawnSync('umount', [path.join(this.#folder.path, 'disk')]);
    await this.#folder.stop();
  }

  get #store(): string {
    return path.join(this.#folder.path, 'disk', 'tasks.db');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const red = this.#red;
    this.#red = null;
    if (red === null) return;
    await red.kill(signal);
    const twice = /headers after they are sent|ERR_HTTP_HEADERS_SENT/;
    this.complaints.push(
      ...red.lines.filter((line) => twice.test(line) || /TypeError|RangeError/.test(line)),
    );
  }

  async #launch(first: boolean): Promise<void> {
    const library = fakeTime();
    this.#red = await startNodeRed({
      userDir: this.#folder.path,
      nodesDir: [ROOT],
      port: this.#port,
      ...(first ? { flows: this.#flows() } : {}),
      env:
        library === undefined
          ? {}
          : {
              LD_PRELOAD: library,
              FAKETIME_TIMESTAMP_FILE: path.join(this.#folder.path, 'clock'),
              FAKETIME_NO_CACHE: '1',
              FAKETIME_DONT_FAKE_MONOTONIC: '1',
              DONT_FAKE_MONOTONIC: '1',
            },
    });
  }

  #flows(): FlowNode[] {
    const place = { z: 'tab', x: 1, y: 1 };
    return [
      tabNode(),
      brokerNode('broker', this.#proxy.port, {
        clientid: 'platform',
        protocolVersion: String(this.#protocolVersion),
        keepalive: '5',
      }),
      { id: 'service', type: 'ota-service', broker: 'broker', persistent: true },
      { id: 'store', type: 'ota-store', file: this.#store },
      {
        id: 'ask',
        type: 'http in',
        url: '/ask',
        method: 'post',
        upload: false,
        ...place,
        wires: [['task']],
      },
      {
        id: 'task',
        type: 'ota-task',
        service: 'service',
        store: 'store',
        ...place,
        wires: [['answer'], [], []],
      },
      { id: 'answer', type: 'http response', statusCode: '', headers: {}, ...place, wires: [] },
      { id: 'catch', type: 'catch', scope: ['task'], uncaught: false, ...place, wires: [['failed']] },
      {
        id: 'failed',
        type: 'function',
        func: 'msg.statusCode = 500; msg.payload = { code: msg.error.code || msg.code || String(msg.error.message) }; return msg.res ? msg : null;',
        outputs: 1,
        ...place,
        wires: [['answer']],
      },
    ];
  }
}
