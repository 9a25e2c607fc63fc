/** When a session that others can adopt counts as through with what the broker had kept for it. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { connectAsync, type IClientOptions } from 'mqtt';
import type { Channel } from '../../nodes/lib/link';
import { type Committer, EVERY_DEVICE, type Kept } from '../../nodes/lib/protocol';
import { cleanup } from '../support/cleanup';
import {
  type Mosquitto,
  mosquittoMissing,
  type MosquittoOptions,
  startMosquitto,
} from '../support/mosquitto';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { makeChannel, MQTT5 } from './support';

const REPORTS = 40;
const TOPIC = '/ota/device/progress';
const login = { username: 'platform', password: 'secret' };

describe('a session that instances share', () => {
  const later = cleanup();
  before(function () {
    mosquittoMissing(this);
  });

  interface Instance {
    readonly channel: Channel;
    readonly kept: Kept[];
    /** How many reports were committed when it was told that all are read. */
    readonly committed: { now: number; atRead: number };
    /** Lets a commit go on that `slow` held back. */
    readonly go: () => void;
  }

  interface InstanceOptions {
    /** No commit ends before `go`. */
    readonly slow?: boolean;
    readonly mqtt?: IClientOptions;
  }

  function instance(broker: Mosquitto, { slow = false, mqtt = MQTT5 }: InstanceOptions = {}): Instance {
    const made = makeChannel(broker.url, {
      mqtt: { ...mqtt, ...login },
      shareGroup: 'ota',
    });
    later(made);
    const { channel } = made;
    const kept: Kept[] = [];
    const committed = { now: 0, atRead: -1 };
    let go: () => void = () => undefined;
    const gate = slow ? new Promise<void>((resolve) => (go = resolve)) : Promise.resolve();
    let taken = 0;
    const committer: Committer = {
      async commit() {
        const mine = taken;
        taken = 0;
        await gate;
        committed.now += mine;
      },
    };
    channel.awaitSession();
    channel.listen({
      kind: 'progress',
      accessToken: EVERY_DEVICE,
      onMessage(_message, batch) {
        batch.join(committer);
        taken += 1;
      },
      onRefused: () => undefined,
      onSubscription: () => undefined,
    });
    channel.acquire({
      onState: () => undefined,
      onKept(known) {
        kept.push(known);
        if (known === 'read') committed.atRead = committed.now;
      },
    });
    channel.useSession('platform-1');
    return { channel, kept, committed, go: () => go() };
  }

  /** A broker that keeps reports for the session of an instance that was there before. */
  async function keptSession(options: MosquittoOptions = { dynsec: [login] }): Promise<Mosquitto> {
    const { config = [], ...rest } = options;
    const broker = later(await startMosquitto({ ...rest, config: ['max_queued_messages 0', ...config] }));
    const properties = { sessionExpiryInterval: 600 };
    const mqtt = { ...login, protocolVersion: 5, clean: false, properties } as const;
    const gone = await connectAsync(broker.url, { ...mqtt, clientId: 'platform-1' });
    await gone.subscribeAsync(`$share/ota/${TOPIC}/+`, { qos: 1 });
    gone.stream.destroy();
    await gone.endAsync(true);
    const device = await connectAsync(broker.url, { ...login, protocolVersion: 5 });
    const bodies = Array.from({ length: REPORTS }, (_, n) => `{"step":"${n + 1}","desc":""}`);
    await Promise.all(bodies.map((body) => device.publishAsync(`${TOPIC}/device-1`, body, { qos: 1 })));
    await device.endAsync();
    return broker;
  }

  it('has nothing kept where the broker begins it anew', async () => {
    const broker = later(await startMosquitto({ dynsec: [login] }));
    const { kept } = instance(broker);
    await until(() => kept.at(-1) === 'read', 'a new session to be through');
  });

  it('is through once its own message came, with all that was kept committed', async () => {
    const broker = await keptSession();
    const { kept, committed, go } = instance(broker, { slow: true });
    const isBack = (): boolean =>
      broker.lines.some(
        (line) => line.includes('Sending PUBLISH to platform-1') && line.includes('session/'),
      );
    await until(isBack, 'the own message to be sent back');
    assert.deepEqual([...new Set(kept)], ['unknown', 'reading'], 'nothing is committed yet');
    go();
    await until(() => kept.at(-1) === 'read', 'it to be through');
    assert.equal(committed.atRead, REPORTS);
  });

  it('leaves it to silence where the broker refuses its own topic', async () => {
    const broker = await keptSession({
      dynsec: [{ ...login, refuseSubscribe: ['node-red-ota/session/platform-1'] }],
    });
    const { kept, committed } = instance(broker);
    await until(() => kept.at(-1) === 'unknown' && kept.includes('reading'), 'the refusal to count');
    await until(() => committed.now === REPORTS, 'what was kept');
    assert.ok(!kept.includes('read'));
  });

  for (const [name, mqtt] of [
    ['MQTT 5', MQTT5],
    ['MQTT 3.1.1', { protocolVersion: 4 }],
  ] as const)
    it(`leaves it to silence, and keeps its connection, where the broker ends it for its own message (${name})`, async () => {
      const folder = later(await temporaryFolder('ota-acl-'));
      const file = path.join(folder.path, 'acl');
      fs.writeFileSync(file, 'pattern readwrite /ota/#\n');
      const broker = await keptSession({ config: [`acl_file ${file}`] });
      const { channel, kept, committed } = instance(broker, { mqtt });
      await until(() => committed.now === REPORTS, 'what was kept');
      const connections = (): number =>
        broker.lines.filter((line) => line.includes('New client connected') && line.includes('platform-1'))
          .length;
      const knows = (): boolean =>
        kept.at(-1) === 'unknown' && kept.includes('reading') && channel.state.phase === 'connected';
      await until(knows, 'it to leave it to silence');
      const count = connections();
      const pings = (): number => broker.lines.filter((line) => line.includes('Received PINGREQ')).length;
      const before = pings();
      await until(() => pings() >= before + 3, 'seconds to pass');
      assert.equal(connections(), count);
      assert.ok(count <= 20, `${count} connections`);
    });

  it('leaves it to silence where its own message is dropped without a word', async () => {
    const folder = later(await temporaryFolder('ota-acl-'));
    const file = path.join(folder.path, 'acl');
    fs.writeFileSync(file, 'pattern readwrite /ota/#\npattern write node-red-ota/#\n');
    const broker = await keptSession({ config: [`acl_file ${file}`] });
    const { kept, committed } = instance(broker);
    await until(() => committed.now === REPORTS, 'what was kept');
    await until(() => kept.at(-1) === 'unknown' && kept.includes('reading'), 'the silence to count');
    assert.ok(!kept.includes('read'));
  });
});
