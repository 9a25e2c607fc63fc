/** Deploys in the middle of a gateway's upgrade: nothing is lost, nothing is installed twice. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { cleanup } from '../support/cleanup';
import { requireProgram } from '../support/missing';
import { mosquittoMissing } from '../support/mosquitto';
import { until } from '../support/wait';
import { Gateway, PATIENCE_MS } from './gateway';

const HELD = 'held/ota_5fagent_5fpush.json';

describe('a gateway that is deployed to in the middle of an upgrade', function () {
  this.timeout(900_000);
  const untilTheEnd = cleanup(after);
  let gateway: Gateway;

  before(async function () {
    mosquittoMissing(this);
    requireProgram(this, 'flock', 'util-linux');
    gateway = untilTheEnd(await Gateway.start('sleep 30'));
  });
  beforeEach(() => gateway.forget());

  const begin = async (version: string, id: string): Promise<void> => {
    await gateway.push(version, id);
    // By its id: of the same version another upgrade may have been in work until a moment ago.
    await until(() => gateway.read(HELD)?.includes(id), `${version} to be held`, PATIENCE_MS);
    await gateway.release();
  };
  /** Only this node begins anew. */
  const deployAlone = async (id: string): Promise<void> => {
    const flows = gateway.flows().map((node) => (node.id === id ? { ...node, name: 'changed' } : node));
    await gateway.deploy('nodes', flows);
  };
  const ended = async (version: string): Promise<void> => {
    await until(() => gateway.heard.versions.at(-1) === version, `${version} to be reported`, PATIENCE_MS);
    assert.deepEqual(
      gateway.heard.steps.filter((step) => step < 0),
      [],
    );
    assert.ok(gateway.heard.steps.includes(100));
    // While one is in work, a click on "idle" hands out nothing.
    await until(() => gateway.read(HELD) === null, 'nothing to be in work', PATIENCE_MS);
  };

  it('goes on with a download that a full deploy broke off', async () => {
    gateway.installWith('exit 0');
    await begin('v3.1', '4000000001');
    await until(() => gateway.packages.requests('v3.1') > 0, 'the download', PATIENCE_MS);
    await gateway.deploy();
    await ended('v3.1');
  });

  it('goes on with a download where only ota-verify was deployed anew', async () => {
    await begin('v3.2', '4000000002');
    await until(() => gateway.packages.requests('v3.2') > 0, 'the download', PATIENCE_MS);
    await deployAlone('ota_agent_verify');
    await ended('v3.2');
  });

  it('installs once what goes out again while it is downloaded, where only ota-push was deployed anew', async () => {
    const before = gateway.installs().length;
    await begin('v3.25', '4000000025');
    await until(() => gateway.packages.requests('v3.25') > 0, 'the download', PATIENCE_MS);
    await deployAlone('ota_agent_push');
    await ended('v3.25');
    const lines = gateway.installs().slice(before);
    assert.deepEqual(
      lines.map((line) => line.split(' ')[0]),
      ['start', 'end'],
    );
  });

  it('lets an installer go on that runs during a full deploy, and starts no second one', async () => {
    const before = gateway.installs().length;
    gateway.installWith('sleep 30');
    await begin('v3.3', '4000000003');
    await until(() => gateway.installs().length > before, 'the installer to start', PATIENCE_MS);
    await gateway.deploy();
    await ended('v3.3');
    const lines = gateway.installs().slice(before);
    assert.deepEqual(
      lines.map((line) => line.split(' ')[0]),
      ['start', 'end'],
    );
  });

  it('reports a version that runs already, and installs nothing', async () => {
    const before = gateway.installs().length;
    await begin('v3.3', '4000000004');
    await ended('v3.3');
    assert.equal(gateway.installs().length, before);
  });

  for (const [what, content] of [
    ['is empty', ''],
    ['holds NULs', '\0'.repeat(12)],
  ] as const) {
    it(`reports its version by the copy of version.txt where a power cut left a file that ${what}`, async () => {
      fs.writeFileSync(path.join(gateway.userDir, 'ota/version.txt'), content);
      await gateway.deploy();
      await until(() => gateway.heard.versions.length > 0, 'a version', PATIENCE_MS);
      assert.deepEqual(gateway.heard.versions, ['v3.3']);
    });
  }
});
