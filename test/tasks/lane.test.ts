/** What waits for a store that another process has locked: bounded, in order, and nothing of it lost without a word. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { openSqlite } from '../../nodes/lib/tasks/database/sqlite/driver';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';
import { Platform } from './support/engine-platform';

const COMMANDS = 1000;
const REPORTS = 10_000;
const BATCH = 500;
const MIB = 1024 * 1024;
/** The store waits as long as this test may hold the lock. */
const LOCKED_MS = 60_000;

describe('a store that is locked', function () {
  this.timeout(240_000);
  const later = cleanup();

  it('lets 1,000 commands and 10,000 reports wait, refuses more commands, and does all of it afterwards', async () => {
    const folder = later(await temporaryFolder('ota-lane-'));
    const file = path.join(folder.path, 'tasks.db');
    const platform = await new Platform(file, REPORTS + 10, { busyMs: LOCKED_MS }).start();
    later({
      stop: async () => {
        await platform.engine.stop();
        platform.store.close();
      },
    });
    const other = openSqlite(file);
    later({ stop: () => Promise.resolve(other.close()) });
    const before = process.memoryUsage().heapUsed;
    other.exec('BEGIN IMMEDIATE');

    const send = (from: number): Promise<void>[] => {
      const committers: { commit(): void | Promise<void> }[] = [];
      const batch = {
        join: (one: { commit(): void | Promise<void> }) =>
          !committers.includes(one) && committers.push(one) > 0,
      };
      for (let i = from; i < from + BATCH; i += 1) {
        const device = { accessToken: `d${i}`, module: 'default', version: 'v1', id: null };
        platform.engine.enqueue({ kind: 'inform', ...device, wall: platform.wallNow }, batch);
      }
      return committers.map(async (one) => one.commit());
    };
    const starts = Array.from({ length: REPORTS / BATCH }, (_, i) => i * BATCH);
    const reported = starts.map((from) => Promise.allSettled(send(from)));
    const asked = Array.from({ length: COMMANDS }, (_, i) =>
      platform.run({ action: 'label', accessTokens: [`d${i}`], labels: { number: `${i}` } }),
    );
    const ends = Promise.allSettled(asked);
    await assert.rejects(platform.run({ action: 'label', accessTokens: ['d1'], labels: { a: 'b' } }), {
      code: 'OTA_STORE_BUSY',
      message: /Nothing was done/,
    });
    assert.ok(process.memoryUsage().heapUsed - before < 200 * MIB, 'memory');
    other.exec('ROLLBACK');

    // What could not be stored is told, is not acknowledged, and comes again.
    for (const [i, from] of starts.entries()) {
      const [end] = await (reported[i] ?? []);
      if (end?.status === 'rejected') await Promise.all(send(from));
    }
    for (const end of await ends) {
      if (end.status === 'rejected') assert.equal((end.reason as { code: string }).code, 'OTA_STORE_BUSY');
    }
    const { total } = (await platform.run({ action: 'fleet', pageSize: 1 })) as { total: number };
    assert.equal(total, REPORTS);
    const answers = (await ends).flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
    assert.ok(answers.length > 0);
    assert.deepEqual(
      answers.filter((answer) => (answer as { changed: number }).changed !== 1),
      [],
      'a command sees the reports before it',
    );
  });
});
