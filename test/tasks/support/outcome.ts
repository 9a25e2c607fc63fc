/**
 * A fleet of devices that end in different ways, and what must stand in the database at the end of its task: each
 * device as its plan and the policy say, after one attempt, with every report that the broker took.
 */
import assert from 'node:assert/strict';
import { PostgresStore } from '../../../nodes/lib/tasks/database';
import type { PostgresServer } from '../../support/postgres';
import { until } from '../../support/wait';
import type { Act, Fleet, Plan } from './fleet';

const STEPS = [25, 50, 75, 100];
const GOOD: readonly Act[] = [...STEPS.map((step) => ({ step })), { version: 'v2' }];

/** What a device does on its first push, and how it ends without a retry. */
const KINDS: readonly { readonly acts: readonly Act[]; readonly end: string }[] = [
  ...Array.from({ length: 7 }, () => ({ acts: GOOD, end: 'succeeded' })),
  { acts: [], end: 'failed no-response' },
  { acts: [{ step: 25 }, { step: 50 }], end: 'failed stalled' },
  { acts: [{ step: 25 }, { step: -4, desc: 'no space' }], end: 'failed flashing' },
];

/** No device is pushed to again, and limits are as short as the worst case allows: ten seconds of an adoption. */
export const SHORT_LIMITS = { noResponse: 12, stalled: 12, confirm: 12, repush: 0, retries: 0 };

export function createCommand(tokens: readonly string[], policy: object = {}): object {
  return {
    action: 'create',
    package: { version: 'v2', url: 'http://127.0.0.1/v2', size: 4, sign: '0'.repeat(32) },
    targets: tokens,
    policy: { perMinute: 0, noResponse: 600, ...policy },
  };
}

/** Devices that all succeed, a little apart from each other. */
export function goodPlans(devices: number, pause: number): Map<string, Plan> {
  return new Map(
    Array.from({ length: devices }, (_, i) => [
      `dev-${i}`,
      { attempts: [GOOD], pause: pause === 0 ? 0 : pause + (i % 7) * 40 },
    ]),
  );
}

/** Seven of ten succeed; one is silent, one stops half-way, one fails. */
export function mixedPlans(devices: number, pause: number): Map<string, Plan> {
  return new Map(
    Array.from({ length: devices }, (_, i) => [
      `dev-${i}`,
      { attempts: [KINDS[i % KINDS.length]?.acts ?? []], pause: pause + (i % 7) * 40 },
    ]),
  );
}

function endOf(plan: Plan): string {
  return KINDS.find(({ acts }) => acts === plan.attempts[0])?.end ?? 'succeeded';
}

/** Waits for the end of the task; then every device must have ended as its plan says, and every report be stored. */
export async function checkOutcome(
  server: PostgresServer,
  taskId: unknown,
  fleet: Fleet,
  limitMs = 120_000,
): Promise<void> {
  const store = new PostgresStore({ url: server.url(), schema: 'ota', poolSize: 2 });
  await store.open();
  try {
    const tasks = store.tasks('fleet');
    await until(() => fleet.idle, 'the devices to come to rest', limitMs);
    const ended = async (): Promise<boolean> => (await tasks.task(String(taskId)))?.status === 'ended';
    await until(ended, 'the end of the task', limitMs);
  } finally {
    await store.close();
  }
  await until(() => missing(server, fleet).length === 0, 'every report in a history').catch(() =>
    assert.deepEqual(missing(server, fleet), []),
  );
  assert.deepEqual(unexpected(server, fleet), []);
  const pushedTwice = [...fleet.plans.keys()].filter((token) => fleet.ids(token).size !== 1);
  assert.deepEqual(pushedTwice, [], 'each device was pushed one id');
}

/** Reports that the broker has acknowledged, and that stand in no history. */
function missing(server: PostgresServer, fleet: Fleet): string[] {
  const rows = server.psql(`SELECT d.token || ' ' || (line ->> 4) FROM ota.task_devices AS d
    JOIN ota.history AS h ON h.device = d.id, jsonb_array_elements(h.lines::jsonb) AS line
    WHERE line ->> 1 = 'progress'`);
  const stored = new Set(rows.split('\n'));
  return [...fleet.plans].flatMap(([token, { attempts }]) =>
    (attempts[0] ?? [])
      .flatMap((act) => ('step' in act ? [`${token} ${act.step}`] : []))
      .filter((report) => !stored.has(report)),
  );
}

function unexpected(server: PostgresServer, fleet: Fleet): string[] {
  const statuses = ['pending', 'pushed', 'upgrading', 'succeeded', 'failed', 'cancelled'];
  const rows = server.psql(`SELECT token, status, coalesce(reason, ''), attempt FROM ota.task_devices`);
  const found = new Map(
    rows.split('\n').map((row) => {
      const [token = '', status, reason, attempt] = row.split('|');
      return [
        token,
        `${statuses[Number(status)] ?? ''} ${reason ?? ''}`.trim() + ` (attempt ${attempt ?? ''})`,
      ];
    }),
  );
  return [...fleet.plans].flatMap(([token, plan]) => {
    const wanted = `${endOf(plan)} (attempt 1)`;
    const is = found.get(token) ?? 'unknown';
    return is === wanted ? [] : [`${token}: ${is}, not ${wanted}`];
  });
}

/** Reports of a device that stand in a history more than once. */
export function writtenTwice(server: PostgresServer): number {
  return Number(
    server.psql(`SELECT count(*) FROM (SELECT h.device, line ->> 4 AS step
      FROM ota.history AS h, jsonb_array_elements(h.lines::jsonb) AS line
      WHERE line ->> 1 = 'progress' GROUP BY 1, 2 HAVING count(*) > 1) AS t`),
  );
}
