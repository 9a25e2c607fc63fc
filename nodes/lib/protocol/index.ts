/**
 * The wire: topics, messages, steps, ids. Pure: no I/O, no Node-RED, nothing of ours but this folder.
 */
export * from './command-fields';
export * from './delivery';
export * from './digests';
export * from './errors';
export * from './ids';
export * from './json';
export * from './messages';
export * from './modules';
export * from './network-codes';
export * from './read-messages';
export * from './read';
export * from './reasons';
export * from './schemes';
export { SHOWN_CHARACTERS } from './shape';
export * from './steps';
export * from './times';
export * from './token';
export * from './upgrade-input';
