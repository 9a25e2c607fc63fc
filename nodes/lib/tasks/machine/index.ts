/** The rules of tasks: pure, no I/O, no clock. */
export * from './fit';
export * from './labels';
export * from './limits';
export * from './machine';
export * from './rate';
export * from './reports';
export * from './rollout';
export { FRESH_LIFE } from './outcome-moves';
export { type Event, type EventName, findMove, type Move, MOVES, type Rules } from './table';
export * from './turn';
export * from './timeline';
export * from './window';
