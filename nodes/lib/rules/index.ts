/**
 * What a setting or a field may be: one place for each rule, for the runtime, the editor and the console.
 * Pure: no I/O, nothing of Node.js or Node-RED, no import from outside this folder.
 */
export * from './base-url';
export * from './hosts';
export * from './identity';
export * from './labels';
export * from './node-settings';
export * from './policy';
export * from './postgres';
export * from './proxy';
export * from './public-keys';
export * from './reason';
export * from './scheme-identity';
export * from './setting';
export * from './steps';
export * from './template';
export * from './texts';
export * from './topics';
export * from './values';
export * from './window';
