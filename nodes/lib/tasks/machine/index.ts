/** The rules of tasks: pure, no I/O, no clock. */
export * from './fit';
export * from './limits';
export * from './machine';
export * from './rate';
export * from './reports';
export * from './rollout';
export { type Event, type EventName, findMove, type Move, MOVES } from './table';
export * from './turn';
export * from './window';
