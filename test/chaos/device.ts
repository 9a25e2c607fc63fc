/**
 * A device on the wire: it has a version, a habit, and a connection of its own. It keeps what it was sent and what
 * the broker has acknowledged of its reports: that is all that the oracle may know of it.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import mqtt from 'mqtt';
import type { Random } from './random';

export const HABITS = [
  'good', // does as it is told
  'version-only', // reports its new version, no progress
  'fails-once', // its first attempt of each version fails
  'silent', // never answers a push
  'sleeper', // is there for seconds only, subscribes after it has reported
  'reporter', // reports its version now and then, also in mid-upgrade
  'two-stage', // passes through a third version
  'retains', // retains what it reports
  'reboots', // reboots in mid-upgrade the first time, and reports its old version
  'takes-back', // reports 100, then the failure of the digest
] as const;
export type Habit = (typeof HABITS)[number];

export interface Push {
  readonly at: number;
  readonly id: string;
  readonly version: string;
  readonly retain: boolean;
}

/** A report that the broker has acknowledged. */
export interface Report {
  readonly at: number;
  readonly step?: number;
  /** Names the report, so that it is found in a history. */
  readonly desc?: string;
  readonly version?: string;
}

export interface DeviceOptions {
  readonly url: string;
  readonly token: string;
  readonly habit: Habit;
  readonly protocolVersion: 4 | 5;
  /** The broker keeps what is sent to it while it is away. */
  readonly keepsSession: boolean;
  readonly random: Random;
}

const TOPIC = '/ota/device';

export class Device {
  readonly pushes: Push[] = [];
  readonly acknowledged: Report[] = [];
  version = 'v0';
  readonly #options: DeviceOptions;
  readonly #clientId = randomUUID();
  readonly #tries = new Map<string, number>();
  #client: mqtt.MqttClient | null = null;
  #working: string | null = null;
  #reports = 0;
  #stopped = false;
  /** What it does besides upgrades: sleeping, reporting. */
  #life: Promise<void> = Promise.resolve();
  #work: Promise<void> = Promise.resolve();

  constructor(options: DeviceOptions) {
    this.#options = options;
  }

  get token(): string {
    return this.#options.token;
  }

  get habit(): Habit {
    return this.#options.habit;
  }

  get keepsSession(): boolean {
    return this.#options.keepsSession;
  }

  start(): void {
    this.#life = this.#live();
  }

  /** It goes on with its upgrade, but does nothing of its own accord any more; a sleeper stays awake. */
  async settle(): Promise<void> {
    this.#stopped = true;
    await this.#life;
    if (this.habit === 'sleeper') await this.#wake();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#client?.endAsync(true);
  }

  async #live(): Promise<void> {
    const { random, habit } = this.#options;
    if (habit !== 'sleeper') await this.#wake();
    while (!this.#stopped) {
      if (habit === 'sleeper') {
        await this.#pause(2000, 6000);
        await this.#wake();
        await this.#pause(3000, 5000);
        await this.#sleep();
      } else if (habit === 'reporter') {
        await this.#pause(2000, 9000);
        if (!random.chance(0.3)) this.#mention();
      } else {
        await this.#pause(500, 1000);
      }
    }
  }

  /** In good order where the broker is there: without it a client waits for ever for what isn't acknowledged. */
  async #sleep(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    if (client === null) return;
    await Promise.race([client.endAsync().catch(() => undefined), sleep(2000)]);
    await client.endAsync(true);
  }

  async #pause(from: number, to: number): Promise<void> {
    const end = Date.now() + this.#options.random.between(from, to);
    while (!this.#stopped && Date.now() < end) await sleep(100);
  }

  async #wake(): Promise<void> {
    const { url, token, habit, protocolVersion, keepsSession } = this.#options;
    const client = mqtt.connect(url, {
      protocolVersion,
      clientId: `dev-${this.#clientId}`,
      clean: !keepsSession,
      reconnectPeriod: 300,
      resubscribe: false,
      ...(protocolVersion === 5 && keepsSession ? { properties: { sessionExpiryInterval: 3600 } } : {}),
    });
    this.#client = client;
    client.on('error', () => undefined);
    client.on('message', (_topic, body, { retain }) => this.#hear(body.toString(), retain));
    const subscribe = (): void => {
      client.subscribe(`${TOPIC}/upgrade/${token}`, { qos: 1 }, () => undefined);
    };
    client.on('connect', () => {
      this.#mention();
      if (habit === 'sleeper') setTimeout(subscribe, 200);
      else subscribe();
    });
    await new Promise<void>((resolve) => client.once('connect', () => resolve()));
  }

  #hear(body: string, retain: boolean): void {
    const { id, params } = JSON.parse(body) as { id: string; params: { version: string } };
    this.pushes.push({ at: Date.now(), id, version: params.version, retain });
    if (this.habit === 'silent' || this.#working === id) return;
    this.#working = id;
    this.#work = this.#work.then(() => this.#upgrade(id, params.version)).catch(() => undefined);
  }

  async #upgrade(id: string, version: string): Promise<void> {
    const { random, habit } = this.#options;
    if (this.#working !== id) return;
    const tries = (this.#tries.get(version) ?? 0) + 1;
    this.#tries.set(version, tries);
    if (version === this.version) {
      await this.#progress(100);
      await this.#inform();
      return;
    }
    const work = (): Promise<void> => sleep(random.between(50, 500));
    if (habit !== 'version-only') {
      await this.#progress(random.between(0, 40));
      await work();
      if (habit === 'fails-once' && tries === 1) return this.#progress(random.between(-4, -1));
      if (habit === 'reboots' && tries === 1) return this.#inform();
      if (habit === 'two-stage') await this.#inform(`${version}-loader`);
      await this.#progress(random.between(41, 99));
    }
    await work();
    if (this.#working !== id) return;
    if (habit === 'takes-back' && tries === 1) {
      await this.#progress(100);
      return this.#progress(-3);
    }
    this.version = version;
    if (habit !== 'version-only') await this.#progress(100);
    await work();
    await this.#inform();
  }

  #progress(step: number): Promise<void> {
    const desc = `${this.token} ${++this.#reports}`;
    return this.#publish('progress', { step: String(step), desc }, { step, desc });
  }

  /** Its version, whether the broker gets it or not: a connection that is ended takes it along. */
  #mention(): void {
    this.#inform().catch(() => undefined);
  }

  #inform(version = this.version): Promise<void> {
    const id = String(++this.#reports);
    return this.#publish('inform', { id, params: { version, module: 'default' } }, { version });
  }

  /** Resolves when the broker has it. */
  async #publish(kind: string, body: object, report: Omit<Report, 'at'>): Promise<void> {
    const { token, habit } = this.#options;
    const retain = habit === 'retains' && kind === 'inform';
    if (this.#client === null) return;
    await this.#client.publishAsync(`${TOPIC}/${kind}/${token}`, JSON.stringify(body), { qos: 1, retain });
    this.acknowledged.push({ at: Date.now(), ...report });
  }
}
