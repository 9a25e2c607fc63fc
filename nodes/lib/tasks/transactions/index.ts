/** The transactions of tasks: each a need, and a pure rule that decides on what it loaded. */
export * from './ask';
export * from './claim';
export * from './decide';
export * from './due';
export * from './fleet';
export * from './intent';
export * from './join';
export * from './log';
export * from './move';
export * from './recount';
export * from './supersede';
export * from './update';
export * from './report';
