/** The kinds of nodes that the console's tabs are made of, each with the settings that a flow file wants. */
import {
  DAYS,
  FAIL_REASONS,
  MAX_LABEL_NAME,
  MAX_LABEL_VALUE,
  MAX_NOTE,
  MAX_PACKAGE_DESCRIPTION,
  MAX_PACKAGE_LINE,
  MAX_TASK_DESCRIPTION,
  MAX_TASK_NAME,
} from '../../nodes/lib/rules';
import { DEFAULT_POLICY } from '../../nodes/lib/tasks/policy';
import { body, idOf, type Part, text } from './nodes';

type Place = readonly [number, number];
type Wires = readonly (readonly string[])[];

/** A page: one ui-template in a group of its own; its text stands in pages/<file>.vue. */
export function page(key: string, name: string, at: Place, to: Wires, file = key): Part {
  const settings = { group: idOf(`${key}_group`), page: '', ui: '', templateScope: 'local' };
  return {
    key,
    type: 'ui-template',
    name,
    at,
    to,
    settings: { ...template(text(`pages/${file}.vue`)), ...settings },
  };
}

/** A ui-template that every page has. */
export function siteWide(key: string, name: string, at: Place, to: Wires): Part {
  const settings = { group: '', page: '', ui: idOf('ui'), templateScope: 'widget:ui' };
  return {
    key,
    type: 'ui-template',
    name,
    at,
    to,
    settings: { ...template(text(`pages/${key}.vue`)), ...settings },
  };
}

/** A style sheet that every page has. */
export function style(key: string, name: string, at: Place, file = key): Part {
  const settings = { group: '', page: '', ui: idOf('ui'), templateScope: 'site:style' };
  return {
    key,
    type: 'ui-template',
    name,
    at,
    to: [[]],
    settings: { ...template(text(`${file}.css`)), ...settings },
  };
}

/** What stands in a page for the policy of a task that says nothing: the runtime's own defaults. */
const DEFAULTS = '/* DEFAULT_POLICY */ {}';
/** And how many characters its fields take: the commands' own limits. */
const LIMITS = '/* LIMITS */ {}';
/** And the words of its lists. */
const WORDS = { '/* DAYS */ []': DAYS, '/* FAIL_REASONS */ []': FAIL_REASONS };
export const MAX = {
  taskName: MAX_TASK_NAME,
  taskDescription: MAX_TASK_DESCRIPTION,
  note: MAX_NOTE,
  packageLine: MAX_PACKAGE_LINE,
  packageDescription: MAX_PACKAGE_DESCRIPTION,
  labelName: MAX_LABEL_NAME,
  labelValue: MAX_LABEL_VALUE,
};

function template(source: string): Record<string, unknown> {
  const format = Object.entries(WORDS)
    .reduce((page, [place, words]) => page.replace(place, () => JSON.stringify(words)), source)
    .replace(DEFAULTS, () => JSON.stringify(DEFAULT_POLICY))
    .replace(LIMITS, () => JSON.stringify(MAX));
  return {
    order: 1,
    width: '0',
    height: '0',
    head: '',
    format,
    storeOutMessages: true,
    passthru: false,
    resendOnRefresh: true,
    className: '',
  };
}

/** A function node; its body stands in functions/<file>.js. `libs` are modules of Node.js. */
export function fn(
  key: string,
  name: string,
  at: Place,
  to: Wires,
  file: string,
  libs: readonly string[] = [],
  initialize = '',
): Part {
  const settings = {
    func: body(file),
    outputs: to.length,
    timeout: 0,
    noerr: 0,
    initialize,
    finalize: '',
    libs: libs.map((module) => ({ var: module, module })),
  };
  return { key, type: 'function', name, at, to, settings };
}

export function linkIn(key: string, name: string, at: Place, from: readonly string[], to: Wires): Part {
  return { key, type: 'link in', name, at, to, settings: { links: from.map(idOf) } };
}

export function linkOut(key: string, name: string, at: Place, links: readonly string[]): Part {
  return { key, type: 'link out', name, at, settings: { mode: 'link', links: links.map(idOf) } };
}

/** Fires when the flow starts, and again every `repeat` seconds. */
export function atStart(key: string, name: string, at: Place, to: Wires, repeat = ''): Part {
  const props = [{ p: 'topic', vt: 'str' }];
  const settings = { props, repeat, crontab: '', once: true, onceDelay: 0.1, topic: 'start' };
  return { key, type: 'inject', name, at, to, settings };
}

/** Fires each minute, but not when the flow starts. */
export function eachMinute(key: string, name: string, at: Place, to: Wires): Part {
  const props = [{ p: 'topic', vt: 'str' }];
  const settings = { props, repeat: '60', crontab: '', once: false, onceDelay: 0.1, topic: 'minute' };
  return { key, type: 'inject', name, at, to, settings };
}

export function catchOf(key: string, name: string, at: Place, scope: readonly string[], to: Wires): Part {
  return { key, type: 'catch', name, at, to, settings: { scope: scope.map(idOf), uncaught: false } };
}

export function statusOf(key: string, name: string, at: Place, scope: readonly string[], to: Wires): Part {
  return { key, type: 'status', name, at, to, settings: { scope: scope.map(idOf) } };
}

export function comment(key: string, name: string, at: Place, info: string): Part {
  return { key, type: 'comment', name, at, settings: { info } };
}

/** One of our own nodes. */
export function otaNode(
  type: string,
  key: string,
  name: string,
  at: Place,
  to: Wires,
  settings: Record<string, unknown>,
): Part {
  return { key, type, name, at, to, settings };
}

/** A core node. */
export function plain(
  type: string,
  key: string,
  name: string,
  at: Place,
  to: Wires,
  settings: Record<string, unknown>,
): Part {
  return { key, type, name, at, to, settings };
}
