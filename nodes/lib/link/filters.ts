/**
 * Which filters a channel asks the broker for. Owns the rules of who covers whom; never sends by itself more
 * than want and drop: a `+` covers single devices once it is granted, and they stand in where it is refused.
 */
import { EVERY_DEVICE, KINDS, type MessageKind, type TopicScheme } from '../protocol';
import type { FilterState, Subscriptions } from './subscriptions';

/** A listener that was redeployed keeps its filter for so long, so that nothing is missed in between. */
export const LINGER_MS = 2000;

export interface FiltersOptions {
  readonly scheme: TopicScheme;
  /** MQTT shared-subscription group; blank for none. */
  readonly shareGroup: string;
  /** What a kept session still holds of the flow before this one. */
  readonly earlier?: readonly string[];
}

export class Filters {
  readonly #options: FiltersOptions;
  /** How many listeners each token has, for each kind; lingering ones count. */
  readonly #tokens = new Map<MessageKind, Map<string, number>>(KINDS.map((kind) => [kind, new Map()]));
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
    for (const kind of KINDS) this.sync(kind);
  }

  /** The link is gone for good; nothing is unsubscribed. */
  detach(): void {
    this.#subscriptions = null;
  }

  add(kind: MessageKind, accessToken: string): void {
    const tokens = this.#of(kind);
    tokens.set(accessToken, (tokens.get(accessToken) ?? 0) + 1);
    this.sync(kind);
  }

  /** `removed`: taken away for good, so the broker is told; else it lingers for a moment first. */
  remove(kind: MessageKind, accessToken: string, removed: boolean): void {
    const take = (): void => {
      const tokens = this.#of(kind);
      const left = (tokens.get(accessToken) ?? 1) - 1;
      if (left > 0) tokens.set(accessToken, left);
      else tokens.delete(accessToken);
      this.sync(kind);
    };
    if (removed) take();
    else this.#afterLinger(take);
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

  /** What the broker said to the filter that serves this token. */
  state(kind: MessageKind, accessToken: string): FilterState {
    const own = this.#state(kind, accessToken);
    if (accessToken === EVERY_DEVICE || !this.#of(kind).has(EVERY_DEVICE)) return own ?? 'pending';
    const every = this.#state(kind, EVERY_DEVICE);
    return every === 'granted' || own === null ? (every ?? 'pending') : own;
  }

  /** Brings the filters of one kind in line with who listens. */
  sync(kind: MessageKind): void {
    const subscriptions = this.#subscriptions;
    if (subscriptions === null) return;
    const tokens = [...this.#of(kind).keys()];
    const wanted = new Set<string>();
    if (tokens.includes(EVERY_DEVICE)) {
      wanted.add(this.filter(kind, EVERY_DEVICE));
      const every = this.#state(kind, EVERY_DEVICE);
      for (const token of tokens) {
        const stands = every === 'refused' || (every !== 'granted' && this.#state(kind, token) !== null);
        if (stands) wanted.add(this.filter(kind, token));
      }
    } else {
      for (const token of tokens) wanted.add(this.filter(kind, token));
    }
    for (const filter of wanted) subscriptions.want(filter);
    for (const filter of subscriptions.filters()) {
      if (!wanted.has(filter) && this.#isOf(kind, filter)) subscriptions.drop(filter);
    }
  }

  /** The kind that a filter of ours belongs to. */
  kindOf(filter: string): MessageKind | null {
    return KINDS.find((kind) => this.#isOf(kind, filter)) ?? null;
  }

  /** The filter as the broker gets it. */
  filter(kind: MessageKind, accessToken: string): string {
    const plain = this.#options.scheme.filter(kind, accessToken);
    // Each device has one upgrade topic; only what a platform reads can be shared among platforms.
    const shared = this.#options.shareGroup !== '' && kind !== 'upgrade';
    return shared ? `$share/${this.#options.shareGroup}/${plain}` : plain;
  }

  /** The filter without the name of the group that shares it. */
  plain(filter: string): string {
    return filter.startsWith('$share/') ? filter.split('/').slice(2).join('/') : filter;
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

  #of(kind: MessageKind): Map<string, number> {
    return this.#tokens.get(kind) as Map<string, number>;
  }

  #state(kind: MessageKind, accessToken: string): FilterState | null {
    return this.#subscriptions?.state(this.filter(kind, accessToken)) ?? null;
  }

  #isOf(kind: MessageKind, filter: string): boolean {
    return this.#options.scheme.kindOf(this.plain(filter)) === kind;
  }
}
