/** The examples of devices by wires, beside what they are made for: a broker carries other things, too. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';
import type { FlowNode } from '../support/node-red';
import { ROOT } from './installed';

const FOLDER = path.join(ROOT, 'examples/other-devices');
const STRANGE = [null, 7, 'x', [], {}, { Info1: {} }, { Info1: { Version: null } }, { Version: 7 }].concat([
  { id: 'info', result: {} },
  { method: 'NotifyEvent' },
  { method: 'NotifyEvent', params: { events: [null, {}] } },
  { update: { state: 'idle' } },
] as never[]);

for (const file of fs.readdirSync(FOLDER)) {
  const nodes = JSON.parse(fs.readFileSync(path.join(FOLDER, file), 'utf8')) as FlowNode[];
  const reports = nodes.filter(({ id, type }) => type === 'function' && /_report\d$/.test(id));

  describe(`what reads reports in ${file}`, () => {
    for (const { id, name, func } of reports) {
      it(`takes what is none for none: ${String(name)}`, () => {
        const flow = { get: () => undefined, set: () => undefined };
        const read = vm.runInNewContext(`(msg, flow) => {${String(func)}}`) as (
          msg: object,
          of: typeof flow,
        ) => unknown;
        for (const payload of STRANGE) {
          const told = [read({ topic: 'a/b/c', payload }, flow)].flat(2).filter((one) => one !== null);
          assert.deepEqual(told, [], `${id}: ${JSON.stringify(payload)}`);
        }
      });
    }
  });
}
