/** Where tasks live: what a transaction asks of a database, and the databases. */
export * from './database';
export * from './effects';
