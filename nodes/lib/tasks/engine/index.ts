/** The engine: joins the rules, a store and a connection. */
export * from './clock';
export * from './engine';
export { operate } from './operations';
