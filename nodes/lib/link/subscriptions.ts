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

export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  readonly #wanted = new Map<string, FilterState>();
  #client: MqttClient | null = null;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  state(filter: string): FilterState | null {
    return this.#wanted.get(filter) ?? null;
  }

  /** Every filter that is wanted now. */
  filters(): string[] {
    return [...this.#wanted.keys()];
  }

  want(filter: string): void {
    if (this.#wanted.has(filter)) return;
    this.#wanted.set(filter, 'pending');
    if (this.#client !== null) this.#subscribe(this.#client, filter);
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

  /** A connection is up. Every filter is sent, also on a kept session: it may know others than we want. */
  attach(client: MqttClient): void {
    this.#client = client;
    for (const filter of this.#wanted.keys()) this.#subscribe(client, filter);
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

  #subscribe(client: MqttClient, filter: string): void {
    client.subscribe(filter, { qos: 1 }, (error, granted) => {
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
    if (this.#wanted.get(filter) === state) return;
    this.#wanted.set(filter, state);
    this.#options.onState(filter, state, error);
  }
}
