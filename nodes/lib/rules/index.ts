/**
 * What a setting or a field may be: one place for each rule, for the runtime, the editor and the console.
 * Pure: no I/O, nothing of Node.js or Node-RED, no import from outside this folder.
 */
export * from './identity';
export * from './reason';
export * from './template';
