/** A gateway so busy that the example's question for what is installed is cut short, or takes longer than its interval. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { cleanup } from '../support/cleanup';
import type { FlowNode } from '../support/node-red';
import { requireProgram } from '../support/missing';
import { mosquittoMissing } from '../support/mosquitto';
import { until } from '../support/wait';
import { Gateway, PATIENCE_MS } from './gateway';

const STATE = 'sh ota/install.sh state';

describe('a gateway that is too busy to tell at once what is installed', function () {
  this.timeout(900_000);
  const untilTheEnd = cleanup(after);
  let gateway: Gateway;

  before(async function () {
    mosquittoMissing(this);
    requireProgram(this, 'flock', 'util-linux');
    gateway = untilTheEnd(await Gateway.start());
  });
  beforeEach(() => gateway.forget());

  const askWith = (command: string): FlowNode[] =>
    gateway.flows().map((node) => (node.id === 'ota_agent_state' ? { ...node, command } : node));
  const reported = (version: string): Promise<boolean> =>
    until(() => gateway.heard.versions.includes(version), `${version} to be reported`, PATIENCE_MS);

  it('is asked again, and reports its version', async () => {
    await gateway.deploy('full', askWith(`test -e cut || { touch cut; exit 9; }; ${STATE}`));
    await reported('v1.0');
    assert.ok(fs.existsSync(path.join(gateway.userDir, 'cut')));
    assert.equal(gateway.log().filter((line) => line.includes('It is asked again')).length > 0, true);
  });

  it('is not asked while it still answers', async () => {
    const slow = `mkdir asking || echo twice >> asked.log; sleep 5; ${STATE}; code=$?; rmdir asking; exit $code`;
    await gateway.deploy('full', askWith(slow));
    await reported('v1.0');
    gateway.installWith('sleep 8');
    await gateway.push('v5.0', '6000000001');
    const held = (): boolean | undefined => gateway.read('held/ota_5fagent_5fpush.json')?.includes('v5.0');
    await until(held, 'the push', PATIENCE_MS);
    await gateway.release();
    await reported('v5.0');
    assert.equal(fs.existsSync(path.join(gateway.userDir, 'asked.log')), false, 'two questions at once');
    assert.ok(gateway.heard.steps.includes(100));
  });
});
