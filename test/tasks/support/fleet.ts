/** Devices that behave by plan, each a few lines: they hear pushes and report as they were told. */
import mqtt from 'mqtt';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../support/wait';

/** What a device does on a push: reports, in their order. Nothing: it is silent. */
export interface Plan {
  /** On the first push, on the second… the last one counts for all later ones. */
  readonly attempts: readonly (readonly Act[])[];
  /** Doesn't subscribe at all. */
  readonly offline?: boolean;
  /** Milliseconds between reports. */
  readonly pause?: number;
}

export type Act =
  | { readonly step: number; readonly desc?: string }
  | { readonly version: string }
  | { readonly wait: number };

export interface Heard {
  readonly id: string;
  readonly retain: boolean;
}

const TOPIC = '/ota/device';

export class Fleet {
  readonly plans: ReadonlyMap<string, Plan>;
  /** What was pushed to each device, repeats included. */
  readonly heard = new Map<string, Heard[]>();
  readonly #client: mqtt.MqttClient;
  #informs = 0;
  #busy = 0;
  #atWork = 0;
  #mostAtWork = 0;

  private constructor(client: mqtt.MqttClient, plans: ReadonlyMap<string, Plan>) {
    this.#client = client;
    this.plans = plans;
    client.on('message', (topic, body, { retain }) => {
      const token = topic.slice(topic.lastIndexOf('/') + 1);
      const { id } = JSON.parse(body.toString()) as { id: string };
      this.#push(token, { id, retain });
    });
  }

  /** Connects the devices that are there; each reports its version first. */
  static async start(url: string, plans: ReadonlyMap<string, Plan>): Promise<Fleet> {
    const client = await mqtt.connectAsync(url, {
      reconnectPeriod: 100,
      clean: false,
      clientId: `fleet-${process.pid}`,
    });
    const fleet = new Fleet(client, plans);
    const topics = [...plans]
      .filter(([, plan]) => plan.offline !== true)
      .map(([token]) => `${TOPIC}/upgrade/${token}`);
    for (let i = 0; i < topics.length; i += 200)
      await client.subscribeAsync(topics.slice(i, i + 200), { qos: 1 });
    return fleet;
  }

  /** Every device reports the version that it runs. */
  async inform(version: string): Promise<void> {
    await Promise.all([...this.plans.keys()].map((token) => this.#report(token, { version })));
  }

  /** No device has anything left to do. */
  get idle(): boolean {
    return this.#busy === 0;
  }

  /** So many were at work at the same time: they had heard a push, and had not begun their last report. */
  get mostAtWork(): number {
    return this.#mostAtWork;
  }

  /** The different ids that a device was pushed. */
  ids(token: string): Set<string> {
    return new Set((this.heard.get(token) ?? []).map(({ id }) => id));
  }

  async stop(): Promise<void> {
    await until(() => this.idle, 'the devices to come to rest');
    await this.#client.endAsync();
  }

  #push(token: string, push: Heard): void {
    const before = this.ids(token);
    this.heard.set(token, [...(this.heard.get(token) ?? []), push]);
    // A repeat of the same id is dropped.
    if (before.has(push.id)) return;
    const plan = this.plans.get(token);
    if (plan === undefined) return;
    const acts = plan.attempts[Math.min(before.size, plan.attempts.length - 1)] ?? [];
    this.#busy += 1;
    void this.#act(token, acts, plan.pause ?? 0).finally(() => (this.#busy -= 1));
  }

  async #act(token: string, acts: readonly Act[], pause: number): Promise<void> {
    this.#atWork += 1;
    this.#mostAtWork = Math.max(this.#mostAtWork, this.#atWork);
    if (acts.length === 0) this.#atWork -= 1;
    for (const [i, act] of acts.entries()) {
      if (i === acts.length - 1) this.#atWork -= 1;
      if ('wait' in act) await sleep(act.wait);
      else await this.#report(token, act);
      if (pause > 0) await sleep(pause);
    }
  }

  async #report(token: string, act: { step: number; desc?: string } | { version: string }): Promise<void> {
    const inform = 'version' in act;
    const body = inform
      ? { id: String(++this.#informs), params: { version: act.version, module: 'default' } }
      : { step: String(act.step), desc: act.desc ?? '' };
    await this.#client.publishAsync(
      `${TOPIC}/${inform ? 'inform' : 'progress'}/${token}`,
      JSON.stringify(body),
      { qos: 1 },
    );
  }
}
