/** One instance alone, whose broker answers nothing any more while its tasks run. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { Channel } from '../../nodes/lib/link';
import { createScheme, type OtaError } from '../../nodes/lib/protocol';
import { TaskHost } from '../../nodes/lib/platform';
import { SqliteStore } from '../../nodes/lib/tasks/database';
import { type AedesServer, startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';

/** Minutes that the keepalive would take are of no use to limits of seconds. */
const KEEPALIVE_S = 600;

describe('a broker that answers nothing any more', () => {
  const later = cleanup();
  let broker: AedesServer;
  let proxy: TcpProxy;

  beforeEach(async () => {
    broker = later(await startAedes());
    proxy = later(await startTcpProxy(broker.port));
  });

  it('is noticed within seconds where tasks run: the limits of their devices stand still then', async () => {
    const folder = later(await temporaryFolder('ota-silent-'));
    const errors: (OtaError | null)[] = [];
    const channel = new Channel({
      url: proxy.url,
      mqtt: { protocolVersion: 4, keepalive: KEEPALIVE_S },
      clientId: 'platform',
      persistent: true,
      window: 20,
      scheme: createScheme('thingspanel'),
      shareGroup: '',
      onState: ({ error }) => errors.push(error),
      onSubscription: () => undefined,
      onFault: () => undefined,
    });
    // A push, say: it was there before the tasks.
    channel.acquire({ onState: () => undefined });
    await until(() => channel.state.phase === 'connected', 'the connection');
    const store = new SqliteStore({ file: path.join(folder.path, 'tasks.db') });
    const host = new TaskHost({ store, service: 's', channel, startPaused: false });
    later({
      async stop() {
        await host.stop(true);
        store.close();
        await channel.end({ endSession: true });
      },
    });
    const nothing = (): void => undefined;
    let isGranted = false;
    host.join({
      onChange: nothing,
      onTask: nothing,
      onTasks: nothing,
      onProblem: nothing,
      onSubscription: (error) => (isGranted = error === null),
      onRefused: nothing,
      onFirstReport: nothing,
    });
    await until(() => isGranted, 'the subscriptions');
    await until(() => {
      const { now } = host.moment();
      return now > 0;
    }, 'the time of the tasks to run');
    proxy.blackhole();
    await until(() => channel.state.phase === 'waiting', 'the loss to be noticed', 30_000);
    assert.equal(errors.at(-1)?.code, 'OTA_CONNECTION_LOST');
    const stopped = host.moment().now;
    await until(() => errors.filter((error) => error !== null).length > 1, 'another try');
    assert.equal(host.moment().now, stopped, 'limits stand still');
    proxy.heal();
    await until(() => host.moment().now > stopped, 'time to go on');
  });
});
