/**
 * Which filters a channel asks the broker for. Owns the rules of who covers whom; never sends by itself more
 * than want and drop: a `+` covers single devices once it is granted, and they stand in where it is refused.
 */
import { EVERY_DEVICE, type Scheme, type TopicKind } from '../protocol';
import {
  type FilterState,
  type RetainHandling,
  SEND_RETAINED,
  SKIP_RETAINED,
  type Subscriptions,
} from './subscriptions';

/** A listener that was redeployed keeps its filter for so long, so that nothing is missed in between. */
export const LINGER_MS = 2000;

/** What goes to the platform can be shared among platforms; a device has its topics for itself. */
const TO_PLATFORM: Readonly<Record<TopicKind, boolean>> = {
  inform: true,
  progress: true,
  ask: true,
  upgrade: false,
  answer: false,
};
/** A retained version report still says what a device ran, and a retained upgrade is told; the rest is the past. */
const RETAINED: Readonly<Record<TopicKind, RetainHandling>> = {
  inform: SEND_RETAINED,
  upgrade: SEND_RETAINED,
  progress: SKIP_RETAINED,
  ask: SKIP_RETAINED,
  answer: SKIP_RETAINED,
};
const KINDS = Object.keys(TO_PLATFORM) as TopicKind[];

export interface FiltersOptions {
  readonly scheme: Scheme;
  /** MQTT shared-subscription group; blank for none. */
  readonly shareGroup: string;
  /** What a kept session still holds of the flow before this one. */
  readonly earlier?: readonly string[];
}

interface Wanted {
  /** How many listeners each identity has; lingering ones count. */
  readonly listeners: Map<string, number>;
  /** The filters that were asked for them. */
  readonly asked: Set<string>;
}

export class Filters {
  readonly #options: FiltersOptions;
  readonly #kinds = new Map<TopicKind, Wanted>(
    KINDS.map((kind) => [kind, { listeners: new Map(), asked: new Set() }]),
  );
  readonly #lingering = new Set<NodeJS.Timeout>();
  #subscriptions: Subscriptions | null = null;
  #earlier: readonly string[];

  constructor(options: FiltersOptions) {
    this.#options = options;
    this.#earlier = options.earlier ?? [];
  }

  /** A link was made: what is wanted now is asked of it. */
  attach(subscriptions: Subscriptions): void {
    this.#subscriptions = subscriptions;
    for (const kind of KINDS) {
      this.#of(kind).asked.clear();
      this.sync(kind);
    }
  }

  /** The link is gone for good; nothing is unsubscribed. */
  detach(): void {
    this.#subscriptions = null;
  }

  add(kind: TopicKind, accessToken: string): void {
    const { listeners } = this.#of(kind);
    listeners.set(accessToken, (listeners.get(accessToken) ?? 0) + 1);
    this.sync(kind);
  }

  /** `removed`: taken away for good, so the broker is told; else it lingers for a moment first. */
  remove(kind: TopicKind, accessToken: string, removed: boolean): void {
    const take = (): void => {
      const { listeners } = this.#of(kind);
      const left = (listeners.get(accessToken) ?? 1) - 1;
      if (left > 0) listeners.set(accessToken, left);
      else listeners.delete(accessToken);
      this.sync(kind);
    };
    if (removed) take();
    else this.#afterLinger(take);
  }

  /** True where somebody listens to every device. */
  everyDevice(kind: TopicKind): boolean {
    return this.#of(kind).listeners.has(EVERY_DEVICE);
  }

  /** The filters that the broker holds for us now, as it got them. */
  held(): readonly string[] {
    return [...new Set([...this.#earlier, ...(this.#subscriptions?.filters() ?? [])])];
  }

  /** The connection is up: of the earlier flow's filters, those that nobody comes for now are ended. */
  endEarlier(): void {
    if (this.#earlier.length === 0) return;
    this.#afterLinger(() => {
      const subscriptions = this.#subscriptions;
      if (subscriptions === null) return;
      this.#earlier = this.#earlier.filter(
        (filter) => subscriptions.state(filter) === null && !subscriptions.unsubscribe(filter),
      );
    });
  }

  /** What the broker said to the filters that serve this identity. */
  state(kind: TopicKind, accessToken: string): FilterState {
    const own = this.#state(kind, accessToken);
    if (accessToken === EVERY_DEVICE || !this.everyDevice(kind)) return own ?? 'pending';
    const every = this.#state(kind, EVERY_DEVICE);
    return every === 'granted' || own === null ? (every ?? 'pending') : own;
  }

  /** Brings the filters of one kind in line with who listens. */
  sync(kind: TopicKind): void {
    const subscriptions = this.#subscriptions;
    if (subscriptions === null) return;
    const { listeners, asked } = this.#of(kind);
    const wanted = new Set<string>();
    const want = (token: string): void => this.filters(kind, token).forEach((filter) => wanted.add(filter));
    if (this.everyDevice(kind)) {
      want(EVERY_DEVICE);
      const every = this.#state(kind, EVERY_DEVICE);
      for (const token of listeners.keys()) {
        if (token === EVERY_DEVICE) continue;
        if (every === 'refused' || (every !== 'granted' && this.#state(kind, token) !== null)) want(token);
      }
    } else {
      for (const token of listeners.keys()) want(token);
    }
    for (const filter of wanted) {
      if (asked.has(filter)) continue;
      asked.add(filter);
      subscriptions.want(filter, RETAINED[kind]);
    }
    for (const filter of asked) {
      if (wanted.has(filter)) continue;
      asked.delete(filter);
      // One topic may carry two kinds.
      if (this.kindsOf(filter).length === 0) subscriptions.drop(filter);
    }
  }

  /** The kinds that asked for a filter. */
  kindsOf(filter: string): TopicKind[] {
    return KINDS.filter((kind) => this.#of(kind).asked.has(filter));
  }

  /** The filters as the broker gets them. */
  filters(kind: TopicKind, accessToken: string): readonly string[] {
    const plain = this.#options.scheme.filters(kind, accessToken);
    const { shareGroup } = this.#options;
    if (shareGroup === '' || !TO_PLATFORM[kind]) return plain;
    return plain.map((filter) => `$share/${shareGroup}/${filter}`);
  }

  /** The filter without the name of the group that shares it. */
  plain(filter: string): string {
    return filter.startsWith('$share/') ? filter.split('/').slice(2).join('/') : filter;
  }

  /**
   * What the broker said to all the filters that one of this one's kinds asked for the same devices: a device that
   * may use one of two topics isn't refused.
   */
  together(filter: string): FilterState {
    for (const kind of this.kindsOf(filter)) {
      for (const token of this.#of(kind).listeners.keys()) {
        if (this.filters(kind, token).length === 1) break;
        if (!this.filters(kind, token).includes(filter)) continue;
        return this.#state(kind, token) ?? 'pending';
      }
    }
    return this.#subscriptions?.state(filter) ?? 'pending';
  }

  close(): void {
    for (const timer of this.#lingering) clearTimeout(timer);
    this.#lingering.clear();
    this.#subscriptions = null;
  }

  #afterLinger(act: () => void): void {
    const timer = setTimeout(() => {
      this.#lingering.delete(timer);
      act();
    }, LINGER_MS);
    this.#lingering.add(timer);
  }

  #of(kind: TopicKind): Wanted {
    return this.#kinds.get(kind) as Wanted;
  }

  /** One that was granted will do; null where none was asked. */
  #state(kind: TopicKind, accessToken: string): FilterState | null {
    let state: FilterState | null = null;
    for (const filter of this.filters(kind, accessToken)) {
      const one = this.#subscriptions?.state(filter) ?? null;
      if (one === 'granted') return one;
      if (state === null || one === 'pending') state = one;
    }
    return state;
  }
}
