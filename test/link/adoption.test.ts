/** Taking over the session of an instance that is gone, where the broker doesn't let it. */
import assert from 'node:assert/strict';
import { connectAsync } from 'mqtt';
import { adoptSession } from '../../nodes/lib/link/adoption';
import { cleanup } from '../support/cleanup';
import { mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { until } from '../support/wait';

describe('the session of an instance that is gone', () => {
  const later = cleanup();
  before(function () {
    mosquittoMissing(this);
  });

  it('is given up after the time for it, with the reason, where the broker refuses its client id', async () => {
    const broker = later(await startMosquitto({ config: ['clientid_prefixes mine-'] }));
    const began = performance.now();
    const adopted = adoptSession({
      url: broker.url,
      mqtt: { protocolVersion: 5 },
      clientId: 'theirs-1',
      filters: ['$share/ota/#'],
      window: 10,
      handle: () => 'taken',
      onFault: () => undefined,
      limitMs: 3000,
    });
    await assert.rejects(adopted, (error) => (error as { code?: string }).code === 'OTA_AUTH_REFUSED');
    assert.ok(performance.now() - began >= 3000, 'it tries until then: a broker may restart');
    const tries = broker.lines.filter((line) => line.includes('theirs-1')).length;
    assert.ok(tries <= 20, `${tries} lines in the log of the broker`);
  });

  it('is through while others of its group still get reports, and none is lost', async () => {
    const broker = later(await startMosquitto({ config: ['max_queued_messages 0'] }));
    const clean = { protocolVersion: 5, clean: true } as const;
    const kept = { protocolVersion: 5, clean: false, properties: { sessionExpiryInterval: 600 } } as const;
    const filter = '$share/ota/report/+';
    const heard = new Set<string>();
    const gone = await connectAsync(broker.url, { ...kept, clientId: 'gone-1' });
    await gone.subscribeAsync(filter, { qos: 1 });
    gone.stream.destroy();
    await gone.endAsync(true);
    const other = await connectAsync(broker.url, clean);
    other.on('message', (topic) => heard.add(topic));
    await other.subscribeAsync(filter, { qos: 1 });
    const device = await connectAsync(broker.url, clean);
    later({
      stop: async () => {
        await other.endAsync(true);
        await device.endAsync(true);
      },
    });
    let sent = 0;
    const report = (): unknown => device.publishAsync(`report/${(sent += 1)}`, '', { qos: 1 });
    const timer = setInterval(report, 50);
    later({ stop: () => clearInterval(timer) });
    await until(() => sent > 20 && heard.size > 5, 'reports');
    const adopted = await adoptSession({
      url: broker.url,
      mqtt: { protocolVersion: 5 },
      clientId: 'gone-1',
      filters: [filter],
      window: 10,
      handle: (_link, { topic }) => {
        heard.add(topic);
        return 'taken';
      },
      onFault: () => undefined,
    });
    clearInterval(timer);
    assert.equal(adopted, 'drained');
    await until(() => heard.size === sent, 'every report');
    assert.ok(broker.lines.some((line) => line.includes('Received UNSUBSCRIBE from gone-1')));
  });
});
