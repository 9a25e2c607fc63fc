/** The statements that examples make for a user's own database, run in SQLite. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';
import { openSqlite, type SqlDatabase, type SqlValue } from '../../nodes/lib/tasks/database/sqlite/driver';
import { blockOf, LANGUAGES, readPage } from '../support/docs';
import type { FlowNode } from '../support/node-red';
import { ROOT } from './installed';

interface Statement {
  topic: string;
  query: string;
  payload: SqlValue[];
  params: SqlValue[];
}

interface Example {
  /** What a function node, by its name, makes of a payload. */
  readonly made: (name: string, payload: object) => Statement;
  /** A database with the table of the example's description. */
  readonly open: () => SqlDatabase;
}

function example(file: string, context: Readonly<Record<string, unknown>> = {}): Example {
  const flow = JSON.parse(fs.readFileSync(path.join(ROOT, 'examples', file), 'utf8')) as FlowNode[];
  const flowContext = { get: (name: string) => context[name] };
  return {
    made(name, payload) {
      const node = flow.find((one) => one.type === 'function' && one['name'] === name);
      const run = vm.runInNewContext(`(function (msg, flow) {${String(node?.['func'])}})`) as (
        msg: object,
        flow: object,
      ) => Statement;
      return run({ payload }, flowContext);
    },
    open() {
      const [, create] = /```sql\n(.*?)\n```/s.exec(String(flow[0]?.['info'])) ?? [];
      const db = openSqlite(':memory:');
      db.exec(create ?? '');
      return db;
    },
  };
}

/** Runs it as a database node does: values by their place. */
function run(db: SqlDatabase, { topic, query, payload, params }: Statement): void {
  assert.equal(query, topic);
  assert.deepEqual(params, payload);
  assert.equal(db.prepare(topic.replace(/\$(?=\d)/g, '?')).run(...payload), 1, topic);
}

describe('the SQL of the examples', () => {
  it('keeps versions, pushes and progress of own-platform', () => {
    const { made, open } = example('own-platform.json', { package: { version: 'v1.1', module: 'mcu' } });
    const db = open();
    const device = { accessToken: "o'brien", module: 'mcu' };
    const row = (): object => {
      const { version, step, status, reason } = db.prepare('SELECT * FROM devices').get() ?? {};
      return { version, step, status, reason };
    };
    try {
      run(db, made('SQL: keep the version', { ...device, version: 'v1.0', at: '2026-01-01T00:00:00.000Z' }));
      run(db, made('SQL: keep the push', { ...device, delivery: 'offline', reason: 'nobody there' }));
      assert.deepEqual(row(), { version: 'v1.0', step: null, status: 'failed', reason: 'nobody there' });
      run(db, made('SQL: keep the push', { ...device, delivery: 'unknown' }));
      assert.deepEqual(row(), { version: 'v1.0', step: null, status: 'pushed', reason: 'unknown' });
      // A device that names no module means its only active upgrade.
      const progress = {
        ...device,
        module: null,
        step: -2,
        status: 'failed',
        failure: 'download',
        desc: '404',
      };
      run(db, made('SQL: keep the progress', progress));
      assert.deepEqual(row(), { version: 'v1.0', step: -2, status: 'failed', reason: 'download: 404' });
      run(db, made('SQL: keep the version', { ...device, version: 'v1.1', at: '2026-01-01T00:01:00.000Z' }));
      assert.equal((row() as { version: string }).version, 'v1.1');
    } finally {
      db.close();
    }
  });

  it('keeps the last change of each device of fleet-task', () => {
    const { made, open } = example('fleet-task.json');
    const db = open();
    const change = { taskId: 't', accessToken: 'a', module: 'default', attempt: 1 };
    try {
      let from = 'pending';
      for (const to of ['pushed', 'upgrading', 'succeeded']) {
        const rest = { step: null, reason: null, desc: '', at: '2026-01-01T00:00:00.000Z' };
        run(db, made('SQL: each change', { ...change, from, to, status: to, ...rest }));
        from = to;
      }
      const rows = db.prepare('SELECT token, was, status FROM upgrades').all();
      assert.deepEqual(
        rows.map(({ token, was, status }) => ({ token, was, status })),
        [{ token: 'a', was: 'upgrading', status: 'succeeded' }],
      );
    } finally {
      db.close();
    }
  });

  it('is made up by the rows of "devices" for changes that never left, and never taken back by older ones', () => {
    const { made, open } = example('fleet-task.json');
    for (const language of LANGUAGES) {
      const db = open();
      const statement = blockOf(readPage(language, 'platform'), 'sql', /INSERT INTO upgrades/);
      const reconcile = db.prepare(statement.replace(/\$(?=\d)/g, '?'));
      const row = (status: string, minute: number): SqlValue[] => {
        const at = `2026-01-01T00:0${minute}:00.000Z`;
        return ['t', 'a', 'default', status, null, 1, null, '', at];
      };
      const change = { taskId: 't', accessToken: 'a', module: 'default', from: 'pushed', to: 'upgrading' };
      const rest = { step: null, attempt: 1, reason: null, desc: '', at: '2026-01-01T00:02:00.000Z' };
      try {
        run(db, made('SQL: each change', { ...change, status: 'upgrading', ...rest }));
        reconcile.run(...row('pushed', 1));
        assert.equal(db.prepare('SELECT status FROM upgrades').get()?.['status'], 'upgrading');
        reconcile.run(...row('succeeded', 3));
        assert.equal(db.prepare('SELECT status FROM upgrades').get()?.['status'], 'succeeded');
      } finally {
        db.close();
      }
    }
  });
});
