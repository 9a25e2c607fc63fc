/**
 * The example device-agent in a real Node-RED that can be killed at any moment, with its own broker, a platform's
 * client, and an installer that notes when it starts and ends. Time runs faster where libfaketime is installed: an
 * upgrade that is resumed a minute after a start is so a quarter of one later.
 */
import fs from 'node:fs';
import path from 'node:path';
import { connectClient, type TestClient } from '../support/client';
import { fakeTime } from '../support/fake-time';
import { type Mosquitto, startMosquitto } from '../support/mosquitto';
import { type FlowNode, type NodeRed, startNodeRed } from '../support/node-red';
import { temporaryFolder, type TemporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { type PackageServer, startPackageServer } from './package-server';

const ROOT = path.resolve(__dirname, '../..');
const EXAMPLE = path.join(ROOT, 'examples/device-agent.json');
const TOKEN = 'demo-gateway';
const FAKETIME = fakeTime({ threads: true });
/** Seconds of Node-RED's clock in one of ours; fewer where the machine is busy: its time limits go faster, too. */
export const SPEED = FAKETIME === undefined ? 1 : Number(process.env['GATEWAY_SPEED'] ?? 4);
/** A resumed upgrade needs a minute of Node-RED's time, and machines are slow. */
export const PATIENCE_MS = 240_000;

/** The clock is Node-RED's own: the shells and the installer that it starts go by the real one. */
const OWN_CLOCK = { code: 'delete process.env.LD_PRELOAD;', settings: '' };

/** What the platform heard. */
export interface Heard {
  readonly steps: readonly number[];
  readonly versions: readonly string[];
}

export class Gateway {
  readonly packages: PackageServer;
  readonly broker: Mosquitto;
  readonly #folder: TemporaryFolder;
  #platform: TestClient | null = null;
  #red: NodeRed | null = null;
  /** The file that says how far Node-RED's clock is from ours. */
  #clock: string | null = null;
  readonly #heard: string[] = [];

  private constructor(folder: TemporaryFolder, broker: Mosquitto, packages: PackageServer) {
    this.#folder = folder;
    this.broker = broker;
    this.packages = packages;
  }

  /** Starts everything; the gateway has reported its first version then. */
  static async start(flash = 'exit 0'): Promise<Gateway> {
    const folder = await temporaryFolder('ota-gateway-');
    const broker = await startMosquitto({ persistence: true });
    const gateway = new Gateway(folder, broker, await startPackageServer());
    gateway.installWith(flash);
    await gateway.connectPlatform();
    await gateway.boot([]);
    // Credentials are taken from a deploy only.
    await gateway.deploy();
    await until(() => gateway.heard.versions.includes('v1.0'), 'the first version', PATIENCE_MS).catch(
      async (error: unknown) => {
        const told = [
          ...gateway.log().slice(-30),
          ...gateway.broker.lines.slice(-30),
          gateway.files().join(),
        ];
        await gateway.stop();
        throw new Error(`${String(error)}\n${told.join('\n')}`);
      },
    );
    return gateway;
  }

  get userDir(): string {
    return this.#folder.path;
  }

  get red(): NodeRed {
    if (this.#red === null) throw new Error('Node-RED does not run');
    return this.#red;
  }

  /** Node-RED's log of this run; empty while it doesn't run. */
  log(): readonly string[] {
    return this.#red?.lines ?? [];
  }

  /** A file of the gateway's, below `ota`; null where there is none. */
  read(name: string): string | null {
    try {
      return fs.readFileSync(path.join(this.userDir, 'ota', name), 'utf8');
    } catch {
      return null;
    }
  }

  /** Files below `ota`, sorted. */
  files(): string[] {
    const folder = path.join(this.userDir, 'ota');
    return fs
      .readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => fs.statSync(path.join(folder, name), { throwIfNoEntry: false })?.isFile() ?? false)
      .sort();
  }

  /** Lines of the installer: `start <sid> <file>`, `end`; `twice` where two ran at once. */
  installs(): string[] {
    const log = path.join(this.userDir, 'installer.log');
    return fs.existsSync(log) ? fs.readFileSync(log, 'utf8').trim().split('\n').filter(Boolean) : [];
  }

  /** The installer's work, as lines of shell; it can use $1 (the file). */
  installWith(flash: string): void {
    const lines = [
      '#!/bin/sh',
      `cd '${this.userDir}'`,
      'mkdir running 2> /dev/null || echo twice >> installer.log',
      'echo "start $(ps -o sid= -p $$) $1" >> installer.log',
      `(${flash})`,
      'code=$?',
      'rmdir running',
      'echo end >> installer.log',
      'exit $code',
    ];
    fs.writeFileSync(path.join(this.userDir, 'installer.sh'), lines.join('\n') + '\n', { mode: 0o755 });
  }

  /** The example, with the addresses of this test and the installer that can be watched. */
  flows(): FlowNode[] {
    const nodes = JSON.parse(fs.readFileSync(EXAMPLE, 'utf8')) as FlowNode[];
    return nodes.map((node) => {
      if (node.id === 'ota_agent_broker')
        return { ...node, port: String(this.broker.port), clientid: 'gateway' };
      if (node.id === 'ota_agent_install') return { ...node, command: `${this.userDir}/installer.sh` };
      // What goes wrong stands in the log, not in the editor's sidebar only.
      if (node.id === 'ota_agent_error') return { ...node, console: true };
      // Shells go by the real clock, so their time limits and the questions to them do, too.
      if (node.type === 'exec' && node['timer'] === '60') return { ...node, timer: String(60 * SPEED) };
      if (node.id === 'ota_agent_tick') return { ...node, repeat: String(2 * SPEED) };
      return node;
    });
  }

  /** Seconds between our time and Node-RED's when it is started. Needs libfaketime. */
  bootOffset = 0;

  /**
   * From the next start on Node-RED's clock is so many seconds away from ours, at once, also while it runs; but it
   * doesn't go faster then. Needs libfaketime.
   */
  setClock(seconds: number): void {
    this.#clock = path.join(this.userDir, 'clock');
    fs.writeFileSync(this.#clock, signed(seconds));
  }

  /** Starts Node-RED, with the flows that it has unless others are given. */
  async boot(flows?: readonly FlowNode[]): Promise<void> {
    const env = this.#clockEnv();
    const options = {
      userDir: this.userDir,
      nodesDir: [ROOT],
      env,
      startMs: PATIENCE_MS,
      settingsCode: OWN_CLOCK,
    };
    this.#red = await startNodeRed(flows === undefined ? options : { ...options, flows });
  }

  #clockEnv(): Record<string, string> {
    if (FAKETIME === undefined || SPEED === 1) return {};
    if (this.#clock === null)
      return { LD_PRELOAD: FAKETIME, FAKETIME: `${signed(this.bootOffset)} x${SPEED}` };
    return {
      LD_PRELOAD: FAKETIME,
      FAKETIME_TIMESTAMP_FILE: this.#clock,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    };
  }

  async kill(): Promise<void> {
    const pid = this.#red?.pid;
    await this.#red?.kill('SIGKILL');
    this.#red = null;
    // A process that gets the same id later would find libfaketime's clock of this one, and end or wait for ever.
    for (const name of ['faketime_shm_', 'sem.faketime_sem_']) {
      fs.rmSync(`/dev/shm/${name}${pid}`, { force: true });
    }
  }

  async deploy(type: 'full' | 'nodes' | 'flows' = 'full', flows = this.flows()): Promise<void> {
    await this.red.deploy(flows, type);
  }

  /** Somebody clicks "the gateway is idle". */
  async release(): Promise<void> {
    await this.red.post('/inject/ota_agent_idle', {});
  }

  async push(version: string, id: string): Promise<void> {
    const params = this.packages.paramsOf(version);
    await this.#platform?.publish(`/ota/device/upgrade/${TOKEN}`, { id, code: 200, params });
  }

  async connectPlatform(): Promise<void> {
    // A session of its own: what is reported while it is away comes later.
    const options = { clientId: 'platform', clean: false } as const;
    const platform = await connectClient(this.broker.url, options);
    platform.client.on('message', (_topic, payload) => this.#heard.push(payload.toString()));
    this.#heard.push(...platform.messages.map(({ text }) => text));
    await platform.subscribe(['/ota/device/inform/+', '/ota/device/progress/+']);
    this.#platform = platform;
  }

  /** The broker goes away, for everybody. */
  async brokerAway(): Promise<void> {
    await this.#platform?.stop();
    this.#platform = null;
    await this.broker.pause();
  }

  async brokerBack(): Promise<void> {
    await this.broker.restart();
    await this.connectPlatform();
  }

  get heard(): Heard {
    const bodies = this.#heard.map(
      (text) => JSON.parse(text) as { step?: string; params?: { version: string } },
    );
    return {
      steps: bodies.flatMap(({ step }) => (step === undefined ? [] : [Number(step)])),
      versions: bodies.flatMap(({ params }) => (params === undefined ? [] : [params.version])),
    };
  }

  /** What the platform heard, as it came: for whoever reads of a failure. */
  get texts(): readonly string[] {
    return this.#heard;
  }

  /** Forgets what the platform heard. */
  forget(): void {
    this.#heard.length = 0;
  }

  async stop(): Promise<void> {
    await this.kill();
    await this.#platform?.stop();
    await this.broker.stop();
    await this.packages.stop();
    await this.#folder.stop();
  }
}

function signed(seconds: number): string {
  return `${seconds < 0 ? '' : '+'}${seconds}`;
}
