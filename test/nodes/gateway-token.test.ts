/** A gateway's own access token, held once by its service; and nodes that have refused a message. */
import assert from 'node:assert/strict';
import { type AedesServer, startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { connectClient, type TestClient } from '../support/client';
import { temporaryFolder } from '../support/temporary-folder';
import { asOut, loadBench, TOPIC } from './support';

describe('the own token of a service', () => {
  const later = cleanup();
  let broker: AedesServer;
  let client: TestClient;
  beforeEach(async () => {
    broker = later(await startAedes());
    client = later(await connectClient(broker.url));
  });

  async function load(type: string, credentials: Record<string, Record<string, string>>, more = {}) {
    const { path: userDir } = later(await temporaryFolder());
    const node = { type, side: 'device', ...more };
    return later(await loadBench(broker.port, node, 1, { credentials, settings: { userDir } }));
  }

  it('is what a device side goes by that has none', async () => {
    const flow = await load('ota-push', { service: { accessToken: ' gateway-1 ' } });
    await flow.status('n1', /connected/);
    const upgrade = {
      id: '1',
      params: { version: 'v2', url: 'http://h/f', size: 1, signMethod: 'Md5', sign: 'a'.repeat(32) },
    };
    await client.publish(`${TOPIC}/upgrade/gateway-1`, { ...upgrade, code: '200', data: upgrade.params });
    assert.equal(asOut((await flow.messages('out0').atLeast(1))[0]).accessToken, 'gateway-1');
  });

  it('gives way to a token of the node, and to one of the message', async () => {
    const tokens = { service: { accessToken: 'gateway-1' }, n1: { accessToken: 'own' } };
    const flow = await load('ota-inform', tokens, { version: 'v1' });
    await flow.status('n1', /connected/);
    const out = flow.messages('out0');
    flow.send('n1', { payload: '' });
    flow.send('n1', { payload: '', accessToken: 'other' });
    const sent = (await out.atLeast(2)).map((message) => asOut(message).accessToken);
    assert.deepEqual(sent, ['own', 'other']);
  });

  it('is asked for where neither has one', async () => {
    const flow = await load('ota-push', {});
    await flow.status('n1', 'common.status.noToken');
  });
});

describe('a node that refused a message', () => {
  const later = cleanup();
  let broker: AedesServer;
  beforeEach(async () => {
    broker = later(await startAedes());
  });

  it('says so, and is well again after one that it could work on', async () => {
    const flow = later(await loadBench(broker.port, { type: 'ota-push', side: 'platform' }, 2));
    await flow.status('n1', /connected/);
    flow.send('n1', { accessToken: 'device-1', payload: 'no upgrade' });
    await flow.status('n1', 'common.status.messageRefused');
    const sign = 'a'.repeat(32);
    const payload = { version: 'v2', url: 'http://h/f', size: 1, signMethod: 'Md5', sign };
    flow.send('n1', { accessToken: 'device-1', payload });
    await flow.status('n1', 'v2');
  });

  it('says so of what came from the wire, until a message that can be read', async () => {
    const client = later(await connectClient(broker.url));
    const flow = later(await loadBench(broker.port, { type: 'ota-progress', side: 'platform' }, 1));
    await flow.status('n1', /noReport/);
    await client.publish(`${TOPIC}/progress/device-1`, 'not JSON');
    await flow.status('n1', 'common.status.messageRefused');
    await client.publish(`${TOPIC}/progress/device-1`, { step: '40', desc: '' });
    await flow.status('n1', '40 %');
  });
});
