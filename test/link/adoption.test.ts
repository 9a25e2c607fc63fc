/** Taking over the session of an instance that is gone, where the broker doesn't let it. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectAsync } from 'mqtt';
import { adoptSession } from '../../nodes/lib/link/adoption';
import type { Committer } from '../../nodes/lib/protocol';
import { cleanup } from '../support/cleanup';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';

/** Nobody else takes it over. */
const OURS = { isOurs: () => true, isOver: () => false };

describe('the session of an instance that is gone', () => {
  const later = cleanup();
  before(function () {
    mosquittoMissing(this);
  });

  it('is given up after the time for it, with the reason, where the broker refuses its client id', async () => {
    const broker = later(await startMosquitto({ config: ['clientid_prefixes mine-'] }));
    const began = performance.now();
    const adopted = adoptSession({
      ...OURS,
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
      ...OURS,
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

  describe('that holds more than is stored at once', () => {
    const REPORTS = 60;
    const login = { username: 'platform', password: 'secret' };
    /** Longer than the silence after which a session may be through. */
    const SLOW_MS = 3500;

    /** A broker that keeps so many reports for `gone-1`, and refuses some subscriptions. */
    async function keptSession(refuseSubscribe: readonly string[]): Promise<Mosquitto> {
      const broker = later(
        await startMosquitto({
          config: ['max_queued_messages 0'],
          dynsec: [{ ...login, refuseSubscribe }],
        }),
      );
      await keepReports(broker, login);
      return broker;
    }

    async function keepReports(broker: Mosquitto, options: Partial<typeof login>): Promise<void> {
      const mqtt = { ...options, protocolVersion: 5 } as const;
      const properties = { sessionExpiryInterval: 600 };
      const gone = await connectAsync(broker.url, { ...mqtt, clean: false, properties, clientId: 'gone-1' });
      await gone.subscribeAsync('$share/ota/report/+', { qos: 1 });
      gone.stream.destroy();
      await gone.endAsync(true);
      const device = await connectAsync(broker.url, { ...mqtt, clean: true });
      const reports = Array.from({ length: REPORTS }, (_, n) => `report/${n}`);
      await Promise.all(reports.map((topic) => device.publishAsync(topic, '', { qos: 1 })));
      await device.endAsync();
    }

    for (const [name, protocolVersion, rules] of [
      ['and receive, MQTT 5', 5, ['topic readwrite report/#', 'topic write node-red-ota/#']],
      ['and receive, MQTT 3.1.1', 4, ['topic readwrite report/#', 'topic write node-red-ota/#']],
      ['or send, MQTT 3.1.1', 4, ['topic readwrite report/#']],
      ['or send, MQTT 5', 5, ['topic readwrite report/#']],
    ] as const)
      it(`is through by itself where access rules let it not ${name}, its own message, without a word`, async () => {
        const folder = later(await temporaryFolder('ota-acl-'));
        const file = path.join(folder.path, 'acl');
        fs.writeFileSync(file, rules.join('\n'));
        const broker = later(await startMosquitto({ config: ['max_queued_messages 0', `acl_file ${file}`] }));
        await keepReports(broker, {});
        const heard = new Set<string>();
        const adopted = await adoptSession({
          ...OURS,
          url: broker.url,
          mqtt: { protocolVersion },
          clientId: 'gone-1',
          filters: ['$share/ota/report/+'],
          window: 10,
          // It is through by what it knows, not by the time of one that gives nothing.
          limitMs: 3_600_000,
          handle: (_link, { topic }) => {
            heard.add(topic);
            return 'taken';
          },
          onFault: () => undefined,
        });
        assert.equal(adopted, 'drained');
        assert.equal(heard.size, REPORTS);
      });

    it('is left to somebody else, with what is not stored yet, as soon as it is over here', async () => {
      const broker = later(await startMosquitto({ config: ['max_queued_messages 0'] }));
      await keepReports(broker, {});
      const stored: string[] = [];
      let taken: string[] = [];
      let isOver = false;
      const slow: Committer = {
        async commit() {
          const topics = taken;
          taken = [];
          isOver = true;
          await sleep(1500);
          stored.push(...topics);
        },
      };
      const session = {
        url: broker.url,
        mqtt: { protocolVersion: 5, properties: { receiveMaximum: REPORTS / 3 } },
        clientId: 'gone-1',
        filters: ['$share/ota/report/+'],
        window: 10,
        onFault: () => undefined,
      } as const;
      const left = await adoptSession({
        ...session,
        isOurs: () => true,
        isOver: () => isOver,
        handle: (_link, { topic }, batch) => {
          batch.join(slow);
          taken.push(topic);
          return 'taken';
        },
      });
      assert.equal(left, 'left');
      assert.ok(stored.length > 0, 'what it had begun to store is through');
      assert.ok(stored.length < REPORTS);
      const all = new Set(stored);
      const adopted = await adoptSession({
        ...session,
        ...OURS,
        handle: (_link, { topic }) => {
          all.add(topic);
          return 'taken';
        },
      });
      assert.equal(adopted, 'drained', 'the session is still there');
      assert.equal(all.size, REPORTS);
    });

    it('is not connected to any more by an instance that somebody else has adopted', async () => {
      const broker = later(await startMosquitto({ config: ['max_queued_messages 0'] }));
      await keepReports(broker, {});
      const connections = (): number =>
        broker.lines.filter((line) => line.includes('New client connected') && line.includes('as gone-1 '))
          .length;
      const before = connections();
      let isOver = false;
      let lost = 0;
      const adopted = adoptSession({
        isOver: () => isOver,
        // As long as no beat has said so since the connection was lost, it may be somebody else's.
        isOurs: (lostAt) => {
          if (lostAt > 0) lost += 1;
          return lostAt < 0;
        },
        url: broker.url,
        mqtt: { protocolVersion: 5 },
        clientId: 'gone-1',
        filters: ['$share/ota/report/+'],
        window: 10,
        handle: () => 'hold',
        onFault: () => undefined,
      });
      await until(() => connections() === before + 1, 'the adoption to connect');
      const other = await connectAsync(broker.url, { protocolVersion: 5, clean: false, clientId: 'gone-1' });
      later({ stop: () => other.endAsync(true) });
      await until(() => lost > 3, 'it to want to connect again');
      assert.equal(connections(), before + 2);
      isOver = true;
      assert.equal(await adopted, 'left');
      assert.ok(other.connected, 'the other one keeps the session');
    });

    /**
     * Adopts it; answers how many are stored by then.
     * @param options `first`: the first commit; `inFlight`: messages without a PUBACK at most
     */
    async function storedWhenThrough(
      broker: Mosquitto,
      { first, inFlight }: { readonly first: () => Promise<void>; readonly inFlight: number },
    ): Promise<number> {
      const stored = new Set<string>();
      let taken: string[] = [];
      let commits = 0;
      const committer: Committer = {
        async commit() {
          const topics = taken;
          taken = [];
          commits += 1;
          if (commits === 1) await first();
          for (const topic of topics) stored.add(topic);
        },
      };
      const adopted = await adoptSession({
        ...OURS,
        url: broker.url,
        mqtt: { ...login, protocolVersion: 5, properties: { receiveMaximum: inFlight } },
        clientId: 'gone-1',
        filters: ['$share/ota/report/+'],
        window: 10,
        handle: (_link, { topic }, batch) => {
          batch.join(committer);
          taken.push(topic);
          return 'taken';
        },
        onFault: () => undefined,
      });
      assert.equal(adopted, 'drained');
      return stored.size;
    }

    it('is not through when its last commit fails, late: what was in it comes again first', async () => {
      const broker = await keptSession([]);
      const failing = async (): Promise<void> => {
        await sleep(SLOW_MS);
        throw new Error('the database is gone');
      };
      assert.equal(await storedWhenThrough(broker, { first: failing, inFlight: 2 * REPORTS }), REPORTS);
    });

    it('is not through while a commit takes long and the broker waits for its PUBACKs, where it refuses own messages', async () => {
      const broker = await keptSession(['node-red-ota/session/gone-1']);
      const first = (): Promise<void> => sleep(SLOW_MS);
      assert.equal(await storedWhenThrough(broker, { first, inFlight: REPORTS / 3 }), REPORTS);
      assert.ok(broker.lines.some((line) => line.includes('node-red-ota/session/gone-1')));
    });
  });
});
