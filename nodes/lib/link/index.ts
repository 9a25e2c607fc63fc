/** The MQTT connection of a service: the only folder that knows mqtt.js. */
export * from './channel';
export { type PublishOptions, PUBLISH_TIMEOUT_MS, QUEUE_LIMIT, type Settled } from './outbox';
export type { Answered } from './requests';
export type { LinkPhase, LinkState } from './state';
export type { FilterState } from './subscriptions';
