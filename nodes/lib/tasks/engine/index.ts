/** The engine: joins the rules, a database and a connection. */
export * from './clock';
export * from './engine';
export type { EngineListener } from './events';
export type { EngineLink } from './pushes';
