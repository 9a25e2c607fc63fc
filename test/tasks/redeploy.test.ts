/** An engine that is made anew while its service stays, as a deploy of ota-task or ota-store alone does it. */
import assert from 'node:assert/strict';
import { connectAsync } from 'mqtt';
import { TaskHost, type TaskListener } from '../../nodes/lib/platform';
import { PostgresStore } from '../../nodes/lib/tasks/database';
import { makeChannel, type TestChannel, USER } from '../link/support';
import { cleanup } from '../support/cleanup';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { type PostgresServer, requirePostgres, startPostgresServer } from '../support/postgres';
import { until } from '../support/wait';

const LISTENER: TaskListener = {
  onChange: () => undefined,
  onTask: () => undefined,
  onTasks: () => undefined,
  onProblem: () => undefined,
  onSubscription: () => undefined,
  onRefused: () => undefined,
  onFirstReport: () => undefined,
};

describe('an engine in a share group that is made anew', function () {
  this.timeout(180_000);
  const later = cleanup();
  let broker: Mosquitto;
  let server: PostgresServer;
  let shared: TestChannel;

  before(function () {
    mosquittoMissing(this);
    requirePostgres(this);
  });

  beforeEach(async () => {
    broker = later(await startMosquitto({ config: ['max_queued_messages 0', 'max_inflight_messages 200'] }));
    server = later(await startPostgresServer());
    shared = later(makeChannel(broker.url, { shareGroup: 'ota', persistent: true }));
  });

  interface Started {
    readonly host: TaskHost;
    readonly granted: () => Promise<unknown>;
    end(removed: boolean): Promise<void>;
  }

  const start = (before?: TaskHost): Started => {
    const store = new PostgresStore({ url: server.url(), schema: 'ota', poolSize: 4 });
    const options = { store, service: 'fleet', channel: shared.channel, startPaused: false };
    const host = new TaskHost(options, before);
    let granted = false;
    const listener = {
      ...LISTENER,
      onSubscription: (error: unknown) => {
        granted = error === null;
      },
    };
    host.join(listener);
    const end = async (removed: boolean): Promise<void> => {
      await host.leave(listener, removed);
      await store.close();
    };
    later({ stop: () => end(true) });
    return { host, granted: () => until(() => granted, 'its subscriptions'), end };
  };

  /** How the clients of the channel connected: `c0` keeps a session, `c1` none. */
  const connections = (): string[] =>
    broker.lines.flatMap(
      (line) => /New client connected .* as ota-test-\w+ \(p\d, (c\d)/.exec(line)?.[1] ?? [],
    );

  const filtersAskedFor = (): number => broker.lines.filter((line) => line.includes('$share/ota/')).length;

  it('loses none of the reports that come in all the time', async () => {
    // Another node on the service wants the connection all along.
    shared.channel.acquire(USER);
    later({ stop: () => shared.channel.release(USER, true) });
    let engine = start();
    await engine.granted();
    const devices = await connectAsync(broker.url, { clientId: 'devices' });
    later({ stop: () => devices.endAsync() });
    let sent = 0;
    let isOver = false;
    const send = async (): Promise<void> => {
      while (!isOver) {
        sent += 1;
        const body = { id: String(sent), params: { version: 'v1', module: 'default' } };
        const options = { qos: 1 } as const;
        await devices.publishAsync(`/ota/device/inform/dev-${sent}`, JSON.stringify(body), options);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    };
    const sending = send();
    const more = async (): Promise<void> => {
      const enough = sent + 50;
      await until(() => sent >= enough, 'more reports');
    };
    for (let deploy = 0; deploy < 2; deploy += 1) {
      await more();
      await engine.end(false);
      await more();
      engine = start(engine.host);
      await engine.granted();
    }
    await more();
    isOver = true;
    await sending;
    const stored = (): number => Number(server.psql('SELECT count(*) FROM ota.devices'));
    await until(() => stored() === sent, `all of ${sent} reports`);
    assert.deepEqual([...new Set(connections())], ['c0'], 'no connection without a session');
  });

  it('leaves the connection to the other nodes, outside of the group, where none comes after it', async () => {
    const engine = start();
    await engine.granted();
    shared.channel.acquire(USER);
    later({ stop: () => shared.channel.release(USER, true) });
    const asked = filtersAskedFor();
    await engine.end(false);
    await until(() => shared.channel.state.phase === 'connected', 'the connection');
    assert.equal(connections().at(-1), 'c1');
    assert.equal(filtersAskedFor(), asked, 'nothing was subscribed or unsubscribed in the group');
  });

  it('leaves the connection to the other nodes where its store can never be opened', async () => {
    shared.channel.acquire(USER);
    later({ stop: () => shared.channel.release(USER, true) });
    const store = new PostgresStore({ url: server.url(), schema: 'ota', poolSize: 1 });
    await store.open();
    await store.close();
    server.psql("INSERT INTO ota.migrations SELECT max(version) + 1, 'later', 0 FROM ota.migrations");
    start();
    await until(() => shared.channel.state.phase === 'connected', 'the connection');
    assert.equal(filtersAskedFor(), 0);
  });
});
