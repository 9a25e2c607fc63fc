/**
 * Which Node-RED the tests run on: the one of this project, or, with OTA_TEST_NODE_RED, one that is installed in
 * another folder. All that is loaded of Node-RED goes through here, else two versions would be mixed.
 */
import path from 'node:path';

const FOLDER = process.env['OTA_TEST_NODE_RED'] ?? __dirname;

/** The file of a module of Node-RED, e.g. `node-red`, `@node-red/nodes/core/network/10-mqtt.js`. */
export function resolveNodeRed(module: string): string {
  return require.resolve(module, { paths: [FOLDER] });
}

/** A module of Node-RED: a core node, say. They have neither types nor exports. */
export function requireNodeRed(module: string): unknown {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- which file it is, only the environment knows
  return require(resolveNodeRed(module));
}

/** The script that starts it. */
export function redScript(): string {
  return path.join(path.dirname(resolveNodeRed('node-red/package.json')), 'red.js');
}

/** For instance `5.0.7`. */
export function nodeRedVersion(): string {
  return (requireNodeRed('node-red/package.json') as { version: string }).version;
}
