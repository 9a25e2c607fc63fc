/** The transactions of tasks: each a need, and a pure rule that decides on what it loaded. */
export * from './claim';
export * from './create';
export * from './decide';
export * from './due';
export * from './move';
export * from './report';
