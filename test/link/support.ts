/** Links and channels as tests want them: what they told is kept, and they end with the test. */
import type { IClientOptions, IPublishPacket } from 'mqtt';
import { Channel, type ChannelOptions, type LinkState } from '../../nodes/lib/link';
import type { Taken } from '../../nodes/lib/link/inbox';
import { Link, type LinkOptions } from '../../nodes/lib/link/link';
import type { FilterState } from '../../nodes/lib/link/subscriptions';
import { type Batch, createScheme, type KINDS, type Outcome, type OtaError } from '../../nodes/lib/protocol';
import { until } from '../support/wait';

export interface TestLink {
  readonly link: Link;
  readonly states: LinkState[];
  readonly faults: OtaError[];
  readonly filters: { filter: string; state: FilterState; error: OtaError | null }[];
  readonly received: IPublishPacket[];
  publish(topic: string, payload?: string, timeoutMs?: number): Promise<Outcome>;
  connected(times?: number): Promise<unknown>;
  stop(): Promise<void>;
}

/** Starts a link. `handle` takes what comes in; default: it is kept. */
export function startLink(
  url: string,
  options: Partial<LinkOptions> = {},
  handle?: (packet: IPublishPacket, batch: Batch) => Taken,
): TestLink {
  const states: LinkState[] = [];
  const faults: OtaError[] = [];
  const filters: TestLink['filters'] = [];
  const received: IPublishPacket[] = [];
  const link = new Link({
    url,
    mqtt: { protocolVersion: 4 },
    clientId: 'ota-test',
    persistent: false,
    window: 20,
    handle: (packet, batch) => {
      received.push(packet);
      return handle?.(packet, batch) ?? 'taken';
    },
    onState: (state) => states.push(state),
    onFilter: (filter, state, error) => filters.push({ filter, state, error }),
    onFault: (error) => faults.push(error),
    ...options,
  });
  link.start();
  return {
    link,
    states,
    faults,
    filters,
    received,
    publish: (topic, payload = 'x', timeoutMs) =>
      new Promise((resolve) => link.publish(topic, payload, resolve, { timeoutMs })),
    connected: (times = 1) =>
      until(
        () => states.filter((state) => state.phase === 'connected').length >= times,
        `${times} × connected (it was ${JSON.stringify(states)})`,
      ),
    stop: () => link.end({ endSession: false }),
  };
}

export const MQTT5: IClientOptions = { protocolVersion: 5 };
export const MQTT311: IClientOptions = { protocolVersion: 4 };

export interface TestChannel {
  readonly channel: Channel;
  readonly states: LinkState[];
  readonly faults: OtaError[];
  readonly subscriptions: { filter: string; error: OtaError | null }[];
  send(kind: (typeof KINDS)[number], accessToken: string): Promise<Outcome>;
  connected(times?: number): Promise<unknown>;
  stop(): Promise<void>;
}

export function makeChannel(url: string, options: Partial<ChannelOptions> = {}): TestChannel {
  const states: LinkState[] = [];
  const faults: OtaError[] = [];
  const subscriptions: TestChannel['subscriptions'] = [];
  const channel = new Channel({
    url,
    mqtt: { protocolVersion: 4 },
    clientId: 'ota-test',
    persistent: false,
    window: 20,
    scheme: createScheme('thingspanel'),
    shareGroup: '',
    onState: (state) => states.push(state),
    onSubscription: (filter, error) => subscriptions.push({ filter, error }),
    onFault: (error) => faults.push(error),
    ...options,
  });
  return {
    channel,
    states,
    faults,
    subscriptions,
    send: (kind, accessToken) =>
      new Promise((resolve) => {
        const upgrade = { push: () => '{}', answer: () => '{}' };
        const message = { id: '1', version: 'v1', step: 1, upgrade };
        channel.send(kind, accessToken, message, (outcome) => resolve(outcome));
      }),
    connected: (times = 1) =>
      until(
        () => states.filter((state) => state.phase === 'connected').length >= times,
        `${times} × connected`,
      ),
    stop: () => channel.end({ endSession: false }),
  };
}

/** A user of a channel that only wants the connection. */
export const USER = { onState: (): void => undefined };
