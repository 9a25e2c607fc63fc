/** Where tasks live: the interface, and the stores behind it. */
export * from './store';
export { type SqliteOptions, SqliteStore } from './sqlite-store';
export type { SqliteDriver } from './sqlite-driver';
