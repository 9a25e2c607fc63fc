/** Where tasks live: what a transaction asks of a database, and the databases. */
export * from './database';
export * from './effects';
export type * from './store';
export { type SqliteOptions, SqliteStore } from './sqlite/open';
export type { SqliteDriver } from './sqlite/driver';
export { PostgresStore, type PostgresStoreOptions } from './postgres/open';
