/**
 * Loaded before node-red-dev: answers its request for the flow library's catalogue with an empty one, so that
 * the scorecard needs the registry only. What it would compare there is names that others took.
 */
'use strict';
const Module = require('node:module');

const CATALOGUE = 'https://catalogue.nodered.org/catalogue.json';
const load = Module._load;
const changed = new WeakSet();

Module._load = function (request, ...rest) {
  const loaded = load.call(this, request, ...rest);
  if (request === 'axios' && !changed.has(loaded)) {
    changed.add(loaded);
    const { get } = loaded;
    loaded.get = (url, ...more) =>
      url === CATALOGUE ? Promise.resolve({ data: { modules: [] } }) : get(url, ...more);
  }
  return loaded;
};
