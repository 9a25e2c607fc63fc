/** Settings that were typed as a variable which gives nothing: of every node, each of them, credentials too. */
import assert from 'node:assert/strict';
import path from 'node:path';
import type { NodeInitializer } from 'node-red';
import { ROOT } from '../../scripts/build/paths';
import { definitions, type Definition } from '../release/definitions';
import { cleanup } from '../support/cleanup';
import { brokerNode, catchNode, helperNode, tabNode } from '../support/flow';
import { coreMqtt, type CaughtError, loadFlow } from '../support/helper';
import type { FlowNode } from '../support/node-red';
import { freePort } from '../support/ports';
import { shippedNodes } from '../support/shipped-nodes';
import { temporaryFolder } from '../support/temporary-folder';

const variableOf = (name: string): string => `\${${name}}`;
const BLANK = variableOf('OTA_TEST_BLANK');
const UNSET = variableOf('OTA_TEST_UNSET');
/** What a person reads, and what the editor writes for itself. */
const NOT_SETTINGS = new Set(['name', 'inputs', 'outputs', 'settingsVersion']);

describe('a setting that is a variable which gives nothing', () => {
  const later = cleanup();
  let types: Map<string, Definition>;
  let nodes: NodeInitializer[];

  before(async function () {
    this.timeout(240_000);
    types = await definitions();
    nodes = [coreMqtt];
    for (const file of Object.values(await shippedNodes())) {
      const source = path.join(ROOT, file.replace(/^dist\//, '').replace(/\.js$/, '.ts'));
      nodes.push(((await import(source)) as { default: NodeInitializer }).default);
    }
    delete process.env['OTA_TEST_UNSET'];
  });

  afterEach(() => delete process.env['OTA_TEST_BLANK']);

  /** The error that a Catch node gets of a node with these settings; config nodes have a user that tells it. */
  async function refusal(type: string, fields: object, credentials = {}): Promise<CaughtError> {
    const { path: userDir } = later(await temporaryFolder());
    const port = await freePort();
    const isConfig = types.get(type)?.category === 'config';
    const node = { id: 'n1', type, service: 'service', store: 'store', broker: 'broker', ...fields };
    const user = { z: 'tab', x: 1, y: 1, wires: [] };
    const flow: FlowNode[] = [
      tabNode(),
      catchNode('catch', 'caught'),
      helperNode('caught'),
      brokerNode('broker', port),
      { id: 'service', type: 'ota-service', broker: 'broker' },
      { id: 'store', type: 'ota-store' },
      isConfig ? node : { ...user, ...node },
      ...(isConfig ? [{ ...user, id: 'user', type: 'ota-task', service: 'service', store: 'store' }] : []),
    ];
    if (isConfig) Object.assign(flow.at(-1) ?? {}, { [type.replace('ota-', '')]: 'n1' });
    const loaded = later(await loadFlow(nodes, flow, { n1: credentials }, { userDir }));
    const caught = loaded.messages('caught');
    const errors = (): CaughtError[] =>
      caught.items.map((item) => (item as { error: CaughtError } & object).error);
    const found = (): CaughtError | undefined => errors().find(({ code }) => code === 'OTA_BAD_SETTINGS');
    for (let round = 0; found() === undefined; round += 1) {
      await caught.atLeast(round + 1);
    }
    await loaded.stop();
    return found()!;
  }

  for (const [what, variable, value] of [
    ['set but empty', BLANK, ''],
    ['set to blanks', BLANK, '  \t'],
    ['not set', UNSET, ''],
  ] as const) {
    it(`is refused by name, for each setting of each node, where it is ${what}`, async function () {
      this.timeout(240_000);
      for (const [type, { defaults, credentials = {} }] of types) {
        process.env['OTA_TEST_BLANK'] = value;
        const names = Object.entries(defaults).filter(
          ([name, { type: of }]) => of === undefined && !NOT_SETTINGS.has(name),
        );
        assert.ok(names.length > 0, type);
        for (const [name] of names) {
          const { message } = await refusal(type, { [name]: variable });
          assert.match(message, new RegExp(`"${name}".*${variable.slice(2, -1)}`), `${type}.${name}`);
        }
        for (const name of Object.keys(credentials)) {
          const { message } = await refusal(type, {}, { [name]: variable });
          assert.match(message, new RegExp(`"${name}".*${variable.slice(2, -1)}`), `${type}.${name}`);
        }
      }
    });
  }
});
