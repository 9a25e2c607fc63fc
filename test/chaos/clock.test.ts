/** A real process with a clock of its own, by libfaketime. */
import assert from 'node:assert/strict';
import mqtt from 'mqtt';
import { cleanup } from '../support/cleanup';
import { mosquittoMissing } from '../support/mosquitto';
import { requireFound } from '../support/missing';
import { until } from '../support/wait';
import { fakeTime } from '../support/fake-time';
import { Platform } from './platform';

const DAY = 86_400;

describe('a process whose clock jumps', function () {
  this.timeout(240_000);
  const later = cleanup(after);
  let platform: Platform;
  before(async function () {
    mosquittoMissing(this);
    requireFound(this, fakeTime(), 'libfaketime', 'faketime');
    platform = later(await Platform.start(5));
  });

  const report = async (accessToken: string): Promise<void> => {
    const device = await mqtt.connectAsync(platform.broker.url, { protocolVersion: 5 });
    const body = { id: '1', params: { version: 'v1', module: 'default' } };
    await device.publishAsync(`/ota/device/inform/${accessToken}`, JSON.stringify(body), { qos: 1 });
    await device.endAsync();
    await until(async () => {
      const known = await platform.ask({ action: 'device', accessToken });
      return known?.ok === true && (known.payload['modules'] as object[]).length === 1;
    }, `the report of ${accessToken}`);
  };
  const found = async (): Promise<number> => {
    const answer = await platform.ask({
      action: 'preview',
      package: { version: 'v2', url: 'http://127.0.0.1/v2', size: 4, sign: '0'.repeat(32) },
      targets: 'all',
    });
    return answer?.ok === true ? Number(answer.payload['total']) : -1;
  };
  const sees = (devices: number): Promise<boolean> =>
    until(async () => (await found()) === devices, `${devices} devices in "all"`);

  it('finds who reported while it was 1970 at boot, when it is set', async () => {
    await platform.setClock(-Math.floor(Date.now() / 1000) + DAY);
    await platform.restart();
    await report('a');
    await platform.setClock(0);
    await sees(1);
  });

  it('finds who reported while it was 40 days back, when it is set', async () => {
    await platform.setClock(-40 * DAY);
    await report('b');
    await platform.setClock(0);
    await sees(2);
  });

  it('finds who reported while it was 40 days back and the process was killed, when it is set', async () => {
    await platform.setClock(-40 * DAY);
    await report('c');
    await platform.kill();
    await platform.setClock(0);
    await sees(3);
  });

  it('goes on with the pushes of a rate within a minute after it went back an hour', async () => {
    await platform.setClock(3600);
    const created = await platform.ask({
      action: 'create',
      package: { version: 'v2', url: 'http://127.0.0.1/v2', size: 4, sign: '0'.repeat(32) },
      targets: ['a', 'b', 'c'],
      policy: { perMinute: 60, offline: 'wait' },
    });
    assert.ok(created?.ok === true, JSON.stringify(created));
    await platform.setClock(0);
    const { taskId } = created.payload;
    await until(async () => {
      const task = await platform.ask({ action: 'get', taskId });
      const counts = task?.ok === true ? (task.payload['counts'] as Record<string, number>) : {};
      return (counts['pending'] ?? 0) - (counts['waiting'] ?? 0) === 0;
    }, 'all pushes to leave');
  });
});
