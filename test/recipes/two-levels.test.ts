/** The documented access rules for identities of two levels, given to a real Mosquitto: a device has its own topics only. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { asOut, loadBench } from '../nodes/support';
import { cleanup } from '../support/cleanup';
import { connectClient, type TestClient } from '../support/client';
import { blockOf, ORIGINAL, readPage } from '../support/docs';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { temporaryFolder } from '../support/temporary-folder';

const PASSWORD = 'recipe-password';
const PRODUCT = 'a1B2c3D4e5F';
const DEVICE = `DEVICE0001&${PRODUCT}`;
const OTHER = `DEVICE0002&${PRODUCT}`;
/** By which the other device knows that all before it has come. */
const MARKER = 'marker';
const report = { id: '1', params: { version: 'v1' } };

describe('the documented access rules for two levels', () => {
  const later = cleanup();
  const untilTheEnd = cleanup(after);
  let broker: Mosquitto;

  before(async function () {
    mosquittoMissing(this);
    const folder = later(await temporaryFolder('ota-acl-'));
    const file = path.join(folder.path, 'ota.acl');
    const documented = blockOf(readPage(ORIGINAL, 'device-makers'), 'conf', /^user platform/);
    await fs.writeFile(file, `${documented}\nuser ${OTHER}\ntopic readwrite ${MARKER}\n`);
    const users = { platform: PASSWORD, [DEVICE]: PASSWORD, [OTHER]: PASSWORD };
    broker = untilTheEnd(await startMosquitto({ users, config: [`acl_file ${file}`] }));
  });

  const connect = async (username: string): Promise<TestClient> =>
    later(await connectClient(broker.url, { username, password: PASSWORD, protocolVersion: 5 }));

  it('let a device report as itself, and nobody else as it', async () => {
    const flow = later(
      await loadBench(broker.port, { type: 'ota-inform', side: 'platform' }, 1, {
        service: { scheme: 'aliyun', clientId: 'platform', persistent: false },
        credentials: { broker: { user: 'platform', password: PASSWORD } },
      }),
    );
    const out = flow.messages('out0');
    await flow.status('n1', /noReport/);
    const device = await connect(DEVICE);
    const other = await connect(OTHER);
    await other.publish(`/ota/device/inform/${PRODUCT}/DEVICE0001`, report).catch(() => undefined);
    await device.publish(`/ota/device/inform/${PRODUCT}/DEVICE0001`, report);
    const { payload } = asOut((await out.atLeast(1))[0]);
    assert.equal(payload['accessToken'], `${PRODUCT}/DEVICE0001`);
    assert.equal(out.items.length, 1);
  });

  it('let a device hear its own upgrade, and no other', async () => {
    const device = await connect(DEVICE);
    const other = await connect(OTHER);
    const topic = `/ota/device/upgrade/${PRODUCT}/DEVICE0001`;
    await device.subscribe(topic);
    await other.subscribe(['/ota/device/upgrade/+/+', '#']).catch(() => undefined);
    await other.subscribe(MARKER);
    const platform = await connect('platform');
    await platform.publish(topic, 'own upgrade');
    await device.atLeast(1);
    // The broker serves each client in order: what it had of the first came before this.
    await other.publish(MARKER, 'the last');
    await other.atLeast(1);
    assert.deepEqual([...new Set(other.messages.map(({ text }) => text))], ['the last']);
  });
});
