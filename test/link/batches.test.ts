import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { Batch, Committer } from '../../nodes/lib/protocol';
import { BATCH_LIMIT, UNCOMMITTED_LIMIT } from '../../nodes/lib/link/inbox';
import { startAedes } from '../support/aedes';
import { startChild } from '../support/child';
import { cleanup } from '../support/cleanup';
import { connectClient } from '../support/client';
import { mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { type HandBroker, startHandBroker } from './hand-broker';
import { MQTT311, startLink, type TestLink } from './support';

const PUBLISH = { cmd: 'publish', qos: 1, dup: false, retain: false, payload: 'x' } as const;

describe('a batch of messages', () => {
  const later = cleanup();

  function sendMany(broker: HandBroker, from: number, to: number): void {
    const many = Array.from({ length: to - from + 1 }, (_, i) => from + i);
    broker.send(...many.map((messageId) => ({ ...PUBLISH, messageId, topic: `t/${messageId}` })));
  }

  /** Commits that end when the test says so. */
  function slowCommitter(): { committer: Committer; begun: number; finish(): void } {
    const waiting: (() => void)[] = [];
    const slow = {
      begun: 0,
      committer: {
        commit: () => {
          slow.begun += 1;
          return new Promise<void>((resolve) => waiting.push(() => resolve()));
        },
      },
      finish: () => waiting.shift()?.(),
    };
    return slow;
  }

  it('is acknowledged after its commit, in order, and the next one gathers meanwhile', async () => {
    const broker = later(await startHandBroker());
    const slow = slowCommitter();
    const link = later(
      startLink(broker.url, {}, (_packet, batch) => {
        batch.join(slow.committer);
        return 'taken';
      }),
    );
    await link.connected();
    sendMany(broker, 1, 10);
    await until(() => slow.begun === 1 && link.received.length === 10, 'the commit to begin');
    sendMany(broker, 11, 12);
    await until(() => link.received.length === 12, 'more to be taken while it is written');
    assert.equal(broker.pubacks.length, 0, 'nothing is acknowledged while it is written');
    slow.finish();
    await until(() => {
      slow.finish();
      return broker.pubacks.length === 12;
    }, 'the acknowledgements of all');
    assert.deepEqual(
      broker.pubacks.map(({ messageId }) => messageId),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
    );
  });

  it('whose commit is slow holds back neither the PUBACK of a publish nor a ping', async () => {
    const broker = later(await startHandBroker());
    const slow = slowCommitter();
    const link = later(
      startLink(broker.url, { mqtt: { ...MQTT311, keepalive: 1 } }, (_packet, batch) => {
        batch.join(slow.committer);
        return 'taken';
      }),
    );
    await link.connected();
    sendMany(broker, 1, 3);
    await until(() => slow.begun === 1, 'the commit to begin');
    const published = link.publish('out');
    await until(() => broker.publishes.length === 1, 'the publish to leave');
    broker.acknowledge(broker.publishes[0]?.messageId ?? 0);
    assert.equal((await published).error, null);
    await until(() => broker.packets.filter(({ cmd }) => cmd === 'pingreq').length >= 2, 'pings');
    assert.equal(broker.pubacks.length, 0);
    slow.finish();
    await until(() => broker.pubacks.length === 3, 'the acknowledgements');
    assert.equal(link.states.at(-1)?.phase, 'connected');
  });

  it('holds so many messages at most, and no more than twice as many wait in memory', async () => {
    const broker = later(await startHandBroker());
    const slow = slowCommitter();
    const sizes: number[] = [];
    let size = 0;
    const counting: Committer = {
      commit: () => {
        sizes.push(size);
        size = 0;
        return slow.committer.commit();
      },
    };
    const link = later(
      startLink(broker.url, {}, (_packet, batch) => {
        size = batch.join(counting) ? 1 : size + 1;
        return 'taken';
      }),
    );
    await link.connected();
    sendMany(broker, 1, 3 * UNCOMMITTED_LIMIT);
    await until(() => link.received.length >= UNCOMMITTED_LIMIT, 'the memory to be full');
    for (let i = 0; i < 50; i += 1) await turn();
    assert.equal(link.received.length, UNCOMMITTED_LIMIT);
    await until(() => {
      slow.finish();
      return broker.pubacks.length === 3 * UNCOMMITTED_LIMIT;
    }, 'all to be acknowledged');
    assert.ok(Math.max(...sizes) <= BATCH_LIMIT, String(sizes));
  });

  it('whose commit takes too long ends the connection unacknowledged', async () => {
    const broker = later(await startHandBroker());
    const slow = slowCommitter();
    const link = later(
      startLink(broker.url, { commitTimeoutMs: 50 }, (_packet, batch) => {
        batch.join(slow.committer);
        return 'taken';
      }),
    );
    await link.connected();
    sendMany(broker, 1, 1);
    await until(() => link.states.at(-1)?.error?.code === 'OTA_COMMIT_FAILED', 'the time limit');
    slow.finish();
    await link.connected(2);
    assert.equal(broker.pubacks.length, 0);
  });

  it('behind one that failed is committed, and not acknowledged', async () => {
    const broker = later(await startHandBroker());
    let commits = 0;
    let fail = (): void => undefined;
    const committer: Committer = {
      commit: () => {
        commits += 1;
        if (commits > 1) return;
        return new Promise((_resolve, reject) => (fail = () => reject(new Error('locked'))));
      },
    };
    const link = later(
      startLink(broker.url, {}, (_packet, batch) => {
        batch.join(committer);
        return 'taken';
      }),
    );
    await link.connected();
    sendMany(broker, 1, 1);
    await until(() => commits === 1, 'the commit to begin');
    sendMany(broker, 2, 2);
    await until(() => link.received.length === 2, 'the next one to gather');
    fail();
    await until(() => commits === 2 && link.states.some(({ phase }) => phase === 'waiting'), 'both commits');
    await link.connected(2);
    assert.equal(broker.pubacks.length, 0);
  });

  it('is acknowledged at once where nobody joins it', async () => {
    const broker = later(await startHandBroker());
    const link = later(startLink(broker.url));
    await link.connected();
    sendMany(broker, 1, 100);
    await until(() => broker.pubacks.length === 100, 'the acknowledgements');
  });

  const failures: [string, () => void | Promise<void>][] = [
    [
      'throws',
      () => {
        throw new Error('disk full');
      },
    ],
    ['rejects', () => Promise.reject(new Error('disk full'))],
  ];
  for (const [how, fail] of failures) {
    it(`ends the connection unacknowledged where its commit ${how}, and the broker sends again`, async () => {
      const broker = later(await startAedes());
      let tries = 0;
      const committed: string[] = [];
      let open: string[] = [];
      const committer: Committer = {
        commit: () => {
          const rows = open;
          open = [];
          tries += 1;
          if (tries === 1) return fail();
          committed.push(...rows);
        },
      };
      const link = later(
        startLink(broker.url, { persistent: true }, (packet, batch) => {
          open.push(packet.topic);
          batch.join(committer);
          return 'taken';
        }),
      );
      link.link.subscriptions.want('t/#');
      await until(() => link.filters.some(({ state }) => state === 'granted'), 'the subscription');
      const client = later(await connectClient(broker.url));
      await Promise.all(Array.from({ length: 50 }, (_, i) => client.publish(`t/${i}`, 'x')));
      await until(() => new Set(committed).size === 50, 'all of them to be committed');
      const lost = link.states.find(({ phase }) => phase === 'waiting');
      assert.equal(lost?.error?.code, 'OTA_COMMIT_FAILED');
      assert.match(lost.error.message, /disk full/);
    });
  }

  it('asks each that joined to commit, also where one of them fails', async () => {
    const broker = later(await startHandBroker());
    const called: string[] = [];
    const committers: Committer[] = [
      {
        commit: () => {
          called.push('rejects');
          return Promise.reject(new Error('first'));
        },
      },
      {
        commit: () => {
          called.push('throws');
          throw new Error('second');
        },
      },
      { commit: () => void called.push('good') },
    ];
    const link = later(
      startLink(broker.url, {}, (_packet, batch: Batch) => {
        for (const committer of committers) batch.join(committer);
        return 'taken';
      }),
    );
    await link.connected();
    sendMany(broker, 1, 1);
    await until(() => link.states.at(-1)?.error?.code === 'OTA_COMMIT_FAILED', 'the failure');
    assert.deepEqual(called, ['rejects', 'throws', 'good']);
    assert.equal(broker.pubacks.length, 0);
  });

  it('whose commits fail again and again is not taken for a conflict of client ids', async () => {
    const broker = later(await startHandBroker({ afterConnack: [{ ...PUBLISH, messageId: 1, topic: 't' }] }));
    const failing: Committer = { commit: () => Promise.reject(new Error('locked')) };
    const link = later(
      startLink(broker.url, {}, (_packet, batch) => {
        batch.join(failing);
        return 'taken';
      }),
    );
    await until(() => link.states.filter(({ phase }) => phase === 'waiting').length === 3, 'three losses');
    const codes = new Set(link.states.flatMap(({ error }) => error?.code ?? []));
    assert.deepEqual([...codes], ['OTA_COMMIT_FAILED']);
  });

  describe('that comes again because its PUBACK was lost', () => {
    const again = async (sessionPresent: boolean): Promise<{ link: TestLink; broker: HandBroker }> => {
      const broker = later(await startHandBroker({ sessionPresent }));
      const link = later(startLink(broker.url, {}, () => 'taken'));
      await link.connected();
      sendMany(broker, 1, 2);
      await until(() => broker.pubacks.length === 2, 'both to be acknowledged');
      broker.hangUp();
      await link.connected(2);
      // The second has another content: it is another message.
      broker.send(
        { ...PUBLISH, dup: true, messageId: 1, topic: 't/1' },
        { ...PUBLISH, dup: true, messageId: 2, topic: 't/2', payload: 'y' },
      );
      await until(() => broker.pubacks.length === 4, 'both to be acknowledged again');
      return { link, broker };
    };

    it('is acknowledged, and handed on no more', async () => {
      const { link } = await again(true);
      assert.equal(link.received.length, 3);
      assert.equal(String(link.received[2]?.payload), 'y');
    });

    it('is handed on in a new session', async () => {
      const { link } = await again(false);
      assert.equal(link.received.length, 4);
    });

    it('is handed on where its commit failed', async () => {
      const broker = later(await startHandBroker({ sessionPresent: true }));
      let fails = true;
      const committer: Committer = {
        commit: () => {
          if (fails) throw new Error('locked');
        },
      };
      const link = later(
        startLink(broker.url, {}, (_packet, batch) => {
          batch.join(committer);
          return 'taken';
        }),
      );
      await link.connected();
      sendMany(broker, 1, 1);
      await link.connected(2);
      fails = false;
      broker.send({ ...PUBLISH, dup: true, messageId: 1, topic: 't/1' });
      await until(() => broker.pubacks.length === 1, 'the acknowledgement');
      assert.equal(link.received.length, 2);
    });
  });

  it('is committed and acknowledged before a link ends', async () => {
    const broker = later(await startHandBroker());
    let begun = false;
    let release = (): void => undefined;
    const slow: Committer = {
      commit: () => {
        begun = true;
        return new Promise<void>((resolve) => (release = resolve));
      },
    };
    const link = startLink(broker.url, {}, (_packet, batch) => {
      batch.join(slow);
      return 'taken';
    });
    await link.connected();
    sendMany(broker, 1, 3);
    await until(() => begun, 'the commit to begin');
    const count = link.received.length;
    const ended = link.stop();
    for (let i = 0; i < 20; i += 1) await turn();
    assert.equal(broker.pubacks.length, 0);
    release();
    await ended;
    await until(() => broker.pubacks.length === count, 'the acknowledgements');
    assert.equal(broker.packets.at(-1)?.cmd, 'disconnect');
  });

  it('loses nothing that was acknowledged when the process is killed', async function () {
    this.timeout(240_000);
    mosquittoMissing(this);
    const broker = later(
      await startMosquitto({ config: ['max_queued_messages 0', 'max_inflight_messages 200'] }),
    );
    const folder = later(await temporaryFolder());
    const file = path.join(folder.path, 'rows');
    const start = async (): Promise<ReturnType<typeof startChild>> => {
      const child = startChild(process.execPath, [
        '--import=tsx',
        path.join(__dirname, 'batch-child.ts'),
        broker.url,
        file,
      ]);
      later({ stop: () => child.end('SIGKILL') });
      await until(() => child.lines.includes('subscribed'), 'the child to be ready');
      return child;
    };
    const rows = async (): Promise<string[]> => (await fs.readFile(file, 'utf8')).split('\n').slice(0, -1);
    let child = await start();
    const client = later(await connectClient(broker.url));
    const COUNT = 20_000;
    const body = JSON.stringify({ id: '1', params: { version: 'v1' } });
    let sent = 0;
    const all = Promise.all(
      Array.from({ length: 100 }, async () => {
        while (sent < COUNT) {
          sent += 1;
          await client.publish(`/ota/device/inform/d${sent}`, body);
        }
      }),
    );
    for (let kill = 1; kill <= 2; kill += 1) {
      await until(async () => (await rows()).length > kill * 3000, 'the child to be at work');
      await child.end('SIGKILL');
      child = await start();
    }
    await all;
    await until(async () => new Set(await rows()).size === COUNT, 'every report');
  });
});
