/** The engine: joins the rules, a store and a connection. */
export * from './clock';
export * from './engine';
export type { EngineListener } from './news';
export type { EngineLink } from './pushes';
export { operate } from './operations';
