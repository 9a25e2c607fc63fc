/**
 * The filters that are wanted and what the broker said to each. Owns SUBSCRIBE and UNSUBSCRIBE; knows
 * nothing of who wants them.
 */
import type { MqttClient } from 'mqtt';
import { OtaError } from '../protocol';

export type FilterState = 'pending' | 'granted' | 'refused';

export interface SubscriptionsOptions {
  /** The broker's answer to a filter, or `pending` once the connection is gone. */
  readonly onState: (filter: string, state: FilterState, error: OtaError | null) => void;
}

const QOS_REFUSED = 128;

/** MQTT 5: what the broker does with retained messages when it grants a filter. */
export type RetainHandling = 0 | 2;
/** Each is sent. */
export const SEND_RETAINED: RetainHandling = 0;
export const SKIP_RETAINED: RetainHandling = 2;

interface Wanted {
  state: FilterState;
  readonly retained: RetainHandling;
}

export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  readonly #wanted = new Map<string, Wanted>();
  /** A kept session may hold these, and must not go on with them. */
  #ended: readonly string[] = [];
  #client: MqttClient | null = null;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  state(filter: string): FilterState | null {
    return this.#wanted.get(filter)?.state ?? null;
  }

  /** Every filter that is wanted now. */
  filters(): string[] {
    return [...this.#wanted.keys()];
  }

  want(filter: string, retained: RetainHandling = SEND_RETAINED): void {
    if (this.#wanted.has(filter)) return;
    this.#wanted.set(filter, { state: 'pending', retained });
    if (this.#client !== null) this.#subscribe(this.#client, filter, retained);
  }

  /** Takes a filter away at the broker too. */
  drop(filter: string): void {
    if (this.#wanted.delete(filter)) this.unsubscribe(filter);
  }

  /** Ends a filter that a kept session still holds, wanted here or not. False where there is no connection. */
  unsubscribe(filter: string): boolean {
    this.#client?.unsubscribe(filter);
    return this.#client !== null;
  }

  /** Ends these filters at each connection, before all else: of a kept session that is to be drained. */
  endAtConnection(filters: readonly string[]): void {
    this.#ended = filters;
  }

  /** A connection is up. Every filter is sent, also on a kept session: it may know others than we want. */
  attach(client: MqttClient): void {
    this.#client = client;
    for (const filter of this.#ended) client.unsubscribe(filter);
    for (const [filter, { retained }] of this.#wanted) this.#subscribe(client, filter, retained);
  }

  detach(): void {
    this.#client = null;
    for (const filter of this.#wanted.keys()) this.#set(filter, 'pending', null);
  }

  /** The end: nothing more is told. */
  close(): void {
    this.#client = null;
    this.#wanted.clear();
  }

  #subscribe(client: MqttClient, filter: string, retained: RetainHandling): void {
    client.subscribe(filter, { qos: 1, rh: retained }, (error, granted) => {
      if (client !== this.#client || !this.#wanted.has(filter)) return;
      const qos = granted?.[0]?.qos;
      if (error === null && (qos === undefined || qos < QOS_REFUSED)) {
        this.#set(filter, 'granted', null);
        return;
      }
      const why = error === null ? '' : ` (${error.message})`;
      const text = `The broker refused the subscription${why}: check its access rules for this user and topic.`;
      this.#set(filter, 'refused', new OtaError('OTA_SUBSCRIBE_REFUSED', text, { cause: error }));
    });
  }

  #set(filter: string, state: FilterState, error: OtaError | null): void {
    const wanted = this.#wanted.get(filter);
    if (wanted === undefined || wanted.state === state) return;
    wanted.state = state;
    this.#options.onState(filter, state, error);
  }
}
