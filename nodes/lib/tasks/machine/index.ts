/** The rules of tasks: pure, no I/O, no clock. */
export * from './limits';
export * from './machine';
export * from './reports';
export * from './rollout';
export { type Event, type EventName, findMove, type Move, MOVES } from './table';
