/**
 * What the console's flow is made of: nodes with readable ids, their texts from the files beside this one, tabs
 * and groups. Knows Node-RED's flow file, not the console.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';

export interface FlowNode {
  readonly id: string;
  readonly type: string;
  readonly [key: string]: unknown;
}

/** A node of a tab before it has its place in the flow file; `to` names the nodes behind each output. */
export interface Part {
  readonly key: string;
  readonly type: string;
  readonly name: string;
  /** Where it stands in its group, in steps of the grid: column and row. */
  readonly at: readonly [number, number];
  readonly to?: readonly (readonly string[])[];
  readonly settings?: Readonly<Record<string, unknown>>;
}

export interface Group {
  readonly key: string;
  readonly name: string;
  readonly parts: readonly Part[];
}

export interface Tab {
  readonly key: string;
  readonly label: string;
  readonly info: string;
  readonly env: readonly { readonly name: string; readonly value: string; readonly type: string }[];
  readonly groups: readonly Group[];
}

const HERE = __dirname;
const PREFIX = 'ota_console_';
const LEFT = 160;
const TOP = 60;
const COLUMN = 220;
const ROW = 50;
const MARGIN = 60;

/**
 * Config nodes that every example has, by the same id: an editor that has one already keeps it when another example
 * is imported, and nobody has to find out which of three services is the right one.
 */
const SHARED = new Set(['broker', 'service', 'store']);

/** The id of a node in the flow file; importing gives new ones, so nothing but wires may use it. */
export function idOf(key: string): string {
  return SHARED.has(key) ? `ota_${key}` : PREFIX + key;
}

/** The text of a file beside this one. */
export function text(file: string): string {
  return readFileSync(path.join(HERE, file), 'utf8').trimEnd();
}

/** The body of a function node: the file holds it as a function, so that it can be checked like any code. */
export function body(file: string): string {
  const whole = text(path.join('functions', `${file}.js`));
  const inner = whole.slice(whole.indexOf('{\n') + 2, whole.lastIndexOf('\n}'));
  return inner.replace(/^ {2}/gm, '');
}

/** A tab with its groups below each other, every node in its place. */
export function layOut(tab: Tab): FlowNode[] {
  const z = idOf(tab.key);
  const { label, info, env } = tab;
  const nodes: FlowNode[] = [{ id: z, type: 'tab', label, disabled: false, info, env }];
  let top = TOP;
  for (const group of tab.groups) {
    const g = idOf(group.key);
    const rows = Math.max(...group.parts.map(({ at }) => at[1]));
    const columns = Math.max(...group.parts.map(({ at }) => at[0]));
    nodes.push({
      id: g,
      type: 'group',
      z,
      name: group.name,
      style: { label: true },
      nodes: group.parts.map(({ key }) => idOf(key)),
      x: LEFT - 110,
      y: top - 41,
      w: columns * COLUMN + 220,
      h: rows * ROW + 82,
    });
    for (const { key, type, name, at, to = [], settings = {} } of group.parts) {
      const place = { x: LEFT + at[0] * COLUMN, y: top + at[1] * ROW };
      const wires = to.map((targets) => targets.map(idOf));
      nodes.push({ id: idOf(key), type, z, g, name, ...settings, ...place, wires });
    }
    top += rows * ROW + 82 + MARGIN;
  }
  return nodes;
}
