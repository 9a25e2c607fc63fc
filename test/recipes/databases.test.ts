/** The documented templates for one's own database, run in the databases that they are for. */
import assert from 'node:assert/strict';
import vm from 'node:vm';
import type { SqlValue } from '../../nodes/lib/tasks/database/sqlite/driver';
import { cleanup } from '../support/cleanup';
import { type Database, MISSING, START } from '../support/databases';
import { blockOf, chapterOf, ORIGINAL } from '../support/docs';

/** The database, what is told of it in its template, and what the documentation adds to the table there. */
const DATABASES = [
  { name: 'PostgreSQL', own: /msg\.query/, suffix: '' },
  { name: 'SQLite', own: /msg\.topic = `[^`]*\$1/, suffix: '' },
  { name: 'MariaDB', own: /msg\.topic = `[^`]*\?/, suffix: ' CHARACTER SET utf8mb4 COLLATE utf8mb4_bin' },
] as const;

const at = '2026-11-24T08:00:00.000Z';
const token = "o'brien\\1";
const inform = (version: string, module = 'default', accessToken = token): object => ({
  accessToken,
  id: '1',
  module,
  version,
  at,
});
const pushed = { accessToken: token, id: '2', module: 'default', version: 'v1.1', delivery: 'accepted', at };
const progress = (step: number, failure: string | null = null, module: string | null = null): object => ({
  accessToken: token,
  module,
  step,
  status: failure === null ? 'upgrading' : 'failed',
  failure,
  desc: `at ${step}`,
  at,
});

for (const { name, own, suffix } of DATABASES) {
  describe(`the documented template for ${name}`, function () {
    this.timeout(240_000);
    const later = cleanup(after);
    let db: Database;
    let keep: (row: object) => Promise<void>;
    let behind: string;

    before(async function () {
      MISSING[name](this);
      const text = chapterOf(ORIGINAL, 'recipes', 'Your own database');
      if (suffix !== '') assert.ok(text.includes(suffix.trim()), 'says what the table needs');
      const code = blockOf(text, 'js', own);
      const make = vm.runInThisContext(`(function (msg) {${code}})`) as (msg: object) => {
        query?: string;
        params?: SqlValue[];
        topic?: string;
        payload: SqlValue[];
      };
      behind = blockOf(text, 'sql', /^SELECT/);
      db = later(await START[name]());
      await db.exec(blockOf(text, 'sql', /^CREATE/).replace(/;\s*$/, `${suffix};`));
      keep = async (row) => {
        const { query, params, topic, payload } = make({ payload: row });
        await db.run(query ?? topic ?? '', params ?? payload);
      };
    });

    beforeEach(() => db.exec('DELETE FROM devices'));

    const row = async (module = 'default'): Promise<(string | null)[]> => {
      const columns = 'token, version, target, status, step, detail';
      const rows = await db.rows(`SELECT ${columns} FROM devices WHERE module = '${module}'`);
      assert.equal(rows.length, 1);
      // A backslash is doubled in the output of one of the clients.
      return rows[0]!.slice(1);
    };

    it('keeps an upgrade from the first report to the new version', async () => {
      await keep(inform('v1.0'));
      assert.deepEqual(await row(), ['v1.0', null, null, null, null]);
      assert.equal((await db.rows(behind)).length, 1);
      await keep(pushed);
      assert.deepEqual(await row(), ['v1.0', 'v1.1', 'pushed', null, null]);
      await keep(progress(37));
      assert.deepEqual(await row(), ['v1.0', 'v1.1', 'upgrading', '37', 'at 37']);
      await keep(progress(100));
      assert.equal((await row())[2], 'upgrading', '100 alone is no success');
      await keep(inform('v1.1'));
      assert.equal((await row())[2], 'succeeded');
      assert.equal((await db.rows(behind)).length, 0);
      await keep(progress(50));
      assert.equal((await row())[2], 'succeeded', 'what comes late changes nothing');
    });

    it('keeps failures, and takes the device up again at the next push', async () => {
      await keep(inform('v1.0'));
      await keep({ ...pushed, delivery: 'offline', code: 'OTA_OFFLINE', reason: 'nobody is subscribed' });
      assert.deepEqual(await row(), ['v1.0', 'v1.1', 'failed', null, 'nobody is subscribed']);
      await keep(pushed);
      await keep(progress(-4, 'flashing'));
      assert.deepEqual(await row(), ['v1.0', 'v1.1', 'failed', '-4', 'at -4']);
      await keep(pushed);
      assert.deepEqual(await row(), ['v1.0', 'v1.1', 'pushed', null, null]);
    });

    it('keeps modules apart, and tokens that differ by case', async () => {
      await keep(inform('v1.0'));
      await keep(inform('2.0', 'MCU'));
      await keep(inform('v1.0', 'default', token.toUpperCase()));
      await keep(pushed);
      await keep(progress(10, null, 'MCU'));
      assert.equal((await db.rows("SELECT token FROM devices WHERE module = 'default'")).length, 2);
      assert.deepEqual(await row('MCU'), ['2.0', null, null, null, null]);
      assert.equal((await db.rows("SELECT token FROM devices WHERE status = 'pushed'")).length, 1);
    });
  });
}
