/**
 * Messages of 96 MiB that a kept session holds, and a platform that has no room for one: it stays alive, acknowledges
 * them, and hears what comes behind.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { type Child, startChild } from '../support/child';
import { cleanup } from '../support/cleanup';
import { connectClient } from '../support/client';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { until } from '../support/wait';

const MIB = 1024 * 1024;
const GIANT = 96 * MIB;
/** A start takes 100 to 130; with one of them in memory it is more than 200. */
const LIMIT_MIB = 180;
const TOPIC = '/ota/device/inform';

describe('a message of 96 MiB in a kept session', function () {
  this.timeout(240_000);
  const later = cleanup();
  let broker: Mosquitto;

  before(function () {
    mosquittoMissing(this);
  });
  beforeEach(async () => {
    broker = later(await startMosquitto());
  });

  async function start(version: string): Promise<Child> {
    const file = path.join(__dirname, 'giant-child.ts');
    const args = ['--max-old-space-size=64', '--import=tsx', file, broker.url, version];
    const child = startChild(process.execPath, args);
    later({ stop: () => child.end('SIGKILL') });
    await until(() => child.lines.includes('connected'), 'the connection of the platform', 60_000);
    return child;
  }

  const lineOf = (child: Child, begin: string): Promise<string> =>
    until(
      () => child.lines.find((line) => line.startsWith(begin)),
      `"${begin}" of ${child.lines.join('; ')}`,
      60_000,
    );

  for (const version of ['3.1.1', '5']) {
    it(`ends neither a platform nor its restart (MQTT ${version})`, async () => {
      const protocol = version === '5' ? '5' : '4';
      const first = await start(protocol);
      await lineOf(first, 'subscribed');
      await first.end('SIGKILL');
      const device = later(await connectClient(broker.url));
      await device.publish(`${TOPIC}/giant-1`, Buffer.alloc(GIANT, 0x20));
      await device.publish(`${TOPIC}/small-1`, { id: '1', params: { version: 'v1' } });
      const second = await start(protocol);
      const heard = await lineOf(second, 'heard small-1');
      const peak = Number(heard.split(' ').at(-1));
      assert.ok(peak < LIMIT_MIB, `${peak} MiB`);
      if (protocol === '4')
        assert.ok(second.lines.includes('refused OTA_TOO_LARGE'), second.lines.join('; '));
      await second.end('SIGKILL');
      const third = await start(protocol);
      await device.publish(`${TOPIC}/small-2`, { id: '2', params: { version: 'v1' } });
      await lineOf(third, 'heard small-2');
      assert.deepEqual(
        third.lines.filter((line) => line.startsWith('refused')),
        [],
        'it came again',
      );
    });
  }
});
