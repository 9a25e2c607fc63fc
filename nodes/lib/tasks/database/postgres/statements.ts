/** The statements of the PostgreSQL store but for those of pages, each with a name. Nothing here decides anything. */
import { BUSY_CODE, deviceColumns, statusCode, WAIT_CODE } from '../rows';
import { NEW_TASK_COLUMNS } from '../task-rows';
import { MAX_LOG } from '../limits';
import type { Statement } from './driver';

const PENDING = statusCode('pending');
const PUSHED = statusCode('pushed');
const SUCCEEDED = statusCode('succeeded');

const named = (name: string, text: string): Statement => ({ name: `ota_${name}`, text });

export const FIND_SERVICE = named('service', 'SELECT id FROM services WHERE key = $1');
export const ADD_SERVICE = named(
  'add_service',
  'INSERT INTO services (key) VALUES ($1) ON CONFLICT DO NOTHING',
);
export const MODULE = named('module_of', 'SELECT id FROM scopes WHERE service = $1 AND module = $2');
export const ADD_MODULE = named(
  'add_module',
  'INSERT INTO scopes (service, module) VALUES ($1, $2) ON CONFLICT DO NOTHING',
);
export const FLEETS: Statement = {
  text: `SELECT s.key, count(*) AS n FROM services AS s JOIN tasks AS t ON t.service = s.id
    WHERE t.visible = 1 GROUP BY s.id ORDER BY s.key`,
};

// Time and members

/** The wall clock, in milliseconds. */
export const WALL = 'floor(extract(epoch FROM clock_timestamp()) * 1000)::float8';
/** Milliseconds of silence after which an instance is adopted: before or after the clock, which may have been set. */
export const SILENT_MS = 4000;
export const TIME = named('time', `SELECT ${WALL} AS wall, clock FROM services WHERE id = $1`);
/**
 * The same, where the instance still lives: whoever adopts it locks the row for an update of its key, so that nothing
 * is written in its name afterwards.
 */
export const FENCED_TIME = named(
  'fenced_time',
  `SELECT ${WALL} AS wall, s.clock FROM members AS m JOIN services AS s ON s.id = m.service
    WHERE m.id = $1 AND m.adopter IS NULL FOR KEY SHARE OF m`,
);

// Tasks

export const COUNT_NAMES = [
  'pending',
  'waiting',
  'pushed',
  'upgrading',
  'succeeded',
  'failed',
  'incompatible',
  'cancelled',
  'taken',
] as const;
const SUMS = ['total', ...COUNT_NAMES]
  .map((name) => `coalesce(sum(c.${name}), 0)::int AS ${name}`)
  .join(', ');
const WAVE_SUMS = `${SUMS}, coalesce(sum(c.pushed + c.upgrading), 0)::int AS active`;
const OPEN_WAVE = [...['total', 'waiting', 'active', 'succeeded', 'failed', 'incompatible', 'cancelled']].map(
  (name) => `w.${name} AS open_${name}`,
);

/** A task with its counts, and those of its open wave. */
const TASK = `SELECT t.*, n.*, ${OPEN_WAVE.join(', ')} FROM tasks AS t
  CROSS JOIN LATERAL (SELECT ${SUMS} FROM task_counts AS c WHERE c.task = t.id) AS n
  CROSS JOIN LATERAL (SELECT ${WAVE_SUMS} FROM task_counts AS c WHERE c.task = t.id AND c.wave = t.wave) AS w`;

export const LOCK_TASK = named('lock_task', 'SELECT 1 FROM tasks WHERE id = $1 FOR NO KEY UPDATE');
export const TRY_LOCK_TASK = named(
  'try_lock_task',
  'SELECT 1 FROM tasks WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED',
);
/**
 * With whether another instance that lives works on a command of it ($2: this one). One that died right before the
 * clock was set back counts as living only until others have adopted it, or taken its row away: see `Members`.
 */
const HELD_TASK = TASK.replace(
  'SELECT t.*',
  `SELECT t.*, EXISTS (SELECT 1 FROM members AS m
    WHERE m.id = t.intent_by AND m.id <> $2 AND m.adopter IS NULL AND m.beat_at > ${WALL} - ${SILENT_MS}) AS elsewhere`,
);
/** Sent behind the lock: it sees what was committed before that. */
export const TASK_BY_ID = named('task_by_id', `${HELD_TASK} WHERE t.id = $1`);
export const TASK_BY_KEY = named(
  'task_by_key',
  `${TASK} WHERE t.service = $1 AND t.key = $2 AND t.visible = 1`,
);
export const LIVE_TASKS = named(
  'live_tasks',
  `${HELD_TASK} WHERE t.service = $1 AND t.live = 1 AND t.visible = 1 ORDER BY t.id`,
);
export const JOINING_TASKS = named(
  'joining_tasks',
  `${TASK} WHERE t.service = $1 AND t.joining IS NOT NULL AND t.live = 1 AND t.visible = 1 ORDER BY t.id`,
);
const FOUND = `t.service = $1 AND t.visible = 1 AND ($2::text IS NULL OR t.status = $2)
  AND ($3 = '' OR position(lower($3) in lower(t.name)) > 0)`;
export const COUNT_TASKS = named('count_tasks', `SELECT count(*)::int AS n FROM tasks AS t WHERE ${FOUND}`);
export const PAGE_OF_TASKS = named(
  'page_of_tasks',
  `${TASK} WHERE ${FOUND} ORDER BY t.id DESC LIMIT $4 OFFSET $5`,
);
export const NAMES_OF_TASKS = named(
  'names_of_tasks',
  `SELECT id, name FROM tasks WHERE service = $1 AND visible = 1 AND ($2::text IS NULL OR status = $2)
    ORDER BY id DESC`,
);
export const TASKS_BY_ID = named(
  'tasks_by_id',
  `${TASK} WHERE t.id = ANY ($1::int[]) AND t.visible = 1 ORDER BY t.id DESC`,
);
export const PLANS = named('plans', 'SELECT * FROM tasks WHERE id = ANY($1::int[]) AND visible = 1');
export const WAVES = named(
  'waves',
  `SELECT c.wave, ${WAVE_SUMS} FROM task_counts AS c WHERE c.task = $1 GROUP BY c.wave ORDER BY c.wave`,
);
export const REASONS = named(
  'reasons',
  'SELECT reason, sum(n)::int AS n FROM task_reasons WHERE task = $1 GROUP BY reason HAVING sum(n) <> 0',
);
export const ENDS = named(
  'ends',
  `SELECT at, sum(succeeded)::int AS succeeded, sum(failed)::int AS failed, sum(cancelled)::int AS cancelled
    FROM task_ends WHERE task = $1 GROUP BY at ORDER BY at`,
);
export const LOG = named(
  'log',
  'SELECT at, event, by, remark, reason, wave FROM task_log WHERE task = $1 ORDER BY number',
);
export const ADD_TASK = named(
  'add_task',
  `INSERT INTO tasks (${NEW_TASK_COLUMNS.join(', ')})
    VALUES (${NEW_TASK_COLUMNS.map((_name, i) => `$${i + 1}`).join(', ')}) RETURNING id`,
);
export const ADD_WAVES = named(
  'add_waves',
  'INSERT INTO task_counts (task, wave, part) SELECT $1, n, 0 FROM generate_series(1, $2) AS n',
);
export const SHOW_TASK = named(
  'show_task',
  'UPDATE tasks SET visible = 1, revision = revision + 1 WHERE id = $1',
);
export const DISCARD_TASK = named('discard_task', 'UPDATE tasks SET live = 0 WHERE id = $1 AND visible = 0');
export const HIDE_TASK = named(
  'hide_task',
  `UPDATE tasks SET visible = 0, live = 0, revision = revision + 1
    WHERE id = $1 AND visible = 1 AND status IN ('ended', 'cancelled') AND intent IS NULL
    RETURNING id`,
);
/** Whoever writes an intent that is new, or that has a new id, carries it out. */
export const SAVE_TASK = named(
  'save_task',
  `UPDATE tasks SET status = $2, reason = $3, wave = $4, live = $5, started_at = $6, ended_at = $7, pace = $8,
      base_succeeded = $9, base_failed = $10, soak_from = $11, running_before = $12, running_since = $13,
      intent = $14, intent_by = CASE WHEN $14::text IS NULL THEN NULL WHEN intent = $14 THEN intent_by ELSE $15::bigint END,
      revision = revision
        + CASE WHEN running_before = $12 AND running_since IS NOT DISTINCT FROM $13 THEN 0 ELSE 1 END
    WHERE id = $1`,
);
export const CHANGE_PLAN = named(
  'change_plan',
  `UPDATE tasks SET name = $2, description = $3, end_at = $4, end_behavior = $5, policy = $6,
    revision = revision + 1 WHERE id = $1`,
);
/** More devices are open than were before: a task that was over goes on. It waits for whoever decides on it. */
export const REVIVE_TASKS = named('revive', 'UPDATE tasks SET live = 1 WHERE id = ANY($1::int[])');
export const FORGIVE = named(
  'forgive',
  `UPDATE tasks AS t SET base_failed = greatest(0, t.base_failed - n.n)
    FROM unnest($1::int[], $2::int[]) AS n (task, n) WHERE t.id = n.task`,
);
export const ADD_LOG = named(
  'add_log',
  `INSERT INTO task_log (task, number, at, event, by, remark, reason, wave)
    SELECT $1, (SELECT coalesce(max(number), 0) FROM task_log WHERE task = $1) + u.n, u.at, u.event, u.by, u.remark,
      u.reason, u.wave
    FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[])
      WITH ORDINALITY AS u (at, event, by, remark, reason, wave, n)`,
);
export const TRIM_LOG = named(
  'trim_log',
  `DELETE FROM task_log WHERE task = $1 AND number <= (SELECT max(number) FROM task_log WHERE task = $1) - ${MAX_LOG}`,
);

export const ADD_COUNTS = named(
  'add_counts',
  `INSERT INTO task_counts AS c (task, wave, part, total, ${COUNT_NAMES.join(', ')})
    SELECT * FROM unnest($1::int[], $2::int[], $3::int[], $4::int[], ${COUNT_NAMES.map((_, i) => `$${i + 5}::int[]`).join(', ')})
    ON CONFLICT (task, wave, part) DO UPDATE SET total = c.total + excluded.total,
      ${COUNT_NAMES.map((name) => `${name} = c.${name} + excluded.${name}`).join(', ')}`,
);
export const ADD_REASONS = named(
  'add_reasons',
  `INSERT INTO task_reasons AS r (task, reason, part, n)
    SELECT * FROM unnest($1::int[], $2::text[], $3::int[], $4::int[])
    ON CONFLICT (task, reason, part) DO UPDATE SET n = r.n + excluded.n`,
);
export const ADD_ENDS = named(
  'add_ends',
  `INSERT INTO task_ends AS e (task, at, part, succeeded, failed, cancelled)
    SELECT * FROM unnest($1::int[], $2::bigint[], $3::int[], $4::int[], $5::int[], $6::int[])
    ON CONFLICT (task, at, part) DO UPDATE SET succeeded = e.succeeded + excluded.succeeded,
      failed = e.failed + excluded.failed, cancelled = e.cancelled + excluded.cancelled`,
);

export const ADD_NAMES = named(
  'add_names',
  `INSERT INTO task_names (task, n, token)
    SELECT $1, (SELECT coalesce(max(n), 0) FROM task_names WHERE task = $1) + u.n, u.token
    FROM unnest($2::text[]) WITH ORDINALITY AS u (token, n)`,
);
export const NEXT_NAMES = named(
  'next_names',
  'SELECT n, token FROM task_names WHERE task = $1 ORDER BY n LIMIT $2',
);
export const DELETE_NAMES = named('delete_names', 'DELETE FROM task_names WHERE task = $1 AND n <= $2');

/** A task that was removed, or whose making was broken off before a time of the wall clock. */
export const HIDDEN_TASK = named(
  'hidden_task',
  `SELECT id FROM tasks WHERE visible = 0 AND service = $1 AND (live = 0 OR created_at < $2) LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED`,
);
/** Some rows of a task's devices; what it brought them to is remembered, who waits for one of them is looked at soon. */
export const DELETE_DEVICES = named(
  'delete_devices',
  `WITH d AS (DELETE FROM task_devices WHERE id IN
      (SELECT id FROM task_devices WHERE task = $1 ORDER BY token LIMIT $2) RETURNING id, service, scope, token, status),
    g AS (INSERT INTO upgraded AS u (scope, token, task, key, name, version)
      SELECT d.scope, d.token, t.id, t.key, t.name, t.upgrade::json ->> 'version'
        FROM d JOIN tasks AS t ON t.id = $1 WHERE d.status = ${statusCode('succeeded')}
      ON CONFLICT (scope, token) DO UPDATE SET task = excluded.task, key = excluded.key, name = excluded.name,
        version = excluded.version WHERE excluded.task > u.task),
    h AS (DELETE FROM history WHERE device IN (SELECT id FROM d)),
    b AS (UPDATE task_devices AS b SET due = 0 FROM d WHERE b.token = d.token AND b.service = d.service
      AND b.open = 1 AND b.scope = d.scope AND b.hold = ${BUSY_CODE})
    SELECT count(*)::int AS n FROM d`,
);
export const DELETE_TASK: readonly Statement[] = [
  ...['task_counts', 'task_reasons', 'task_ends', 'task_log', 'task_names', 'task_places'].map((table) =>
    named(`delete_${table}`, `DELETE FROM ${table} WHERE task = $1`),
  ),
  named('delete_task', 'DELETE FROM tasks WHERE id = $1'),
];

// Devices of tasks

export const DEVICE_TYPES: Readonly<Record<string, string>> = {
  ...Object.fromEntries(deviceColumns().map(([name]) => [name, 'int'])),
  ...Object.fromEntries(
    ['reason', 'descr', 'source', 'push_id', 'version_before'].map((name) => [name, 'text']),
  ),
  ...Object.fromEntries(
    [
      'next_push',
      'since',
      'late_until',
      'first_wait',
      'life_at',
      'last_push',
      'reboot_at',
      'queue',
      'due',
    ].map((name) => [name, 'float8']),
  ),
  at: 'bigint',
};

const DEVICE = ['id', 'task', 'token', 'wave', 'ord', ...deviceColumns().map(([name]) => name)]
  .map((name) => `d.${name}`)
  .join(', ');
const ROW = `${DEVICE}, c.module, t.revision, t.visible`;

/**
 * Devices of tokens ($2) of a service ($1), and rows by their numbers ($3): all open rows, the newest closed one of
 * each module. Locked in one order by one statement.
 */
export const LOCK_TOKENS = named(
  'lock_tokens',
  `SELECT ${ROW} FROM task_devices AS d JOIN tasks AS t ON t.id = d.task JOIN scopes AS c ON c.id = d.scope
    WHERE d.id = ANY (ARRAY(
      SELECT x.id FROM task_devices AS x WHERE x.service = $1 AND x.open = 1 AND x.token = ANY ($2::text[])
      UNION SELECT n.id FROM unnest($2::text[]) AS k (token) CROSS JOIN LATERAL (
        SELECT DISTINCT ON (y.scope) y.id FROM task_devices AS y
        WHERE y.service = $1 AND y.open = 0 AND y.token = k.token ORDER BY y.scope, y.id DESC) AS n
      UNION SELECT unnest($3::bigint[])))
    ORDER BY d.token, d.id FOR NO KEY UPDATE OF d`,
);

/**
 * Rows that a search finds ($1: the service), each with all open rows of its device. `place`: where it stands in the
 * search's order; `whole`: how many rows its device has here, so that one of which a part is locked can be left out
 * (null where locks are waited for).
 */
const found = (name: string, search: string, wait: boolean): Statement =>
  named(
    name,
    `WITH f AS MATERIALIZED (SELECT s.id, s.token, row_number() OVER () AS place FROM (${search}) AS s),
      w AS MATERIALIZED (SELECT x.id, x.token FROM task_devices AS x
          WHERE x.service = $1 AND x.open = 1 AND x.token IN (SELECT token FROM f)
        UNION SELECT id, token FROM f),
      n AS MATERIALIZED (SELECT token, count(*)::int AS whole FROM w GROUP BY token)
    SELECT ${ROW}, f.place, ${wait ? 'NULL::int' : 'n.whole'} AS whole FROM w JOIN task_devices AS d ON d.id = w.id JOIN n ON n.token = w.token
      JOIN tasks AS t ON t.id = d.task JOIN scopes AS c ON c.id = d.scope LEFT JOIN f ON f.id = w.id
    ORDER BY d.token, d.id FOR NO KEY UPDATE OF d${wait ? '' : ' SKIP LOCKED'}`,
  );

export const FIND_DUE = found(
  'find_due',
  'SELECT id, token FROM task_devices WHERE service = $1 AND due <= $2 ORDER BY due, id LIMIT $3',
  false,
);
/** $2 task, $3 now, $4 pushes, $5 end of the open waves in the queue, $6 first pushes. */
export const FIND_QUEUE = found(
  'find_queue',
  `SELECT id, token FROM (
      (SELECT 1 AS part, next_push AS ord, id, token FROM task_devices
        WHERE task = $2 AND status = ${PUSHED} AND next_push <= $3
        ORDER BY next_push, id LIMIT $4)
      UNION ALL (SELECT 2, queue, id, token FROM task_devices WHERE task = $2 AND queue < $5 ORDER BY queue, id LIMIT $6)
      UNION ALL (SELECT 3, next_push, id, token FROM task_devices
        WHERE task = $2 AND status = ${PENDING} AND next_push <= $3 AND hold = ${WAIT_CODE}
        ORDER BY next_push, id LIMIT $4)
    ) AS q ORDER BY part, ord, id LIMIT $4`,
  false,
);
/** Pushes of instances that aren't there any more, and those of $6. */
export const FIND_PUSHED = found(
  'find_pushed',
  `SELECT p.id, p.token FROM task_devices AS p WHERE p.task = $2 AND p.status = ${PUSHED} AND p.token > $3
      AND coalesce(p.last_push, p.since) >= $4 AND (p.pusher IS NULL OR p.pusher = $6
        OR NOT EXISTS (SELECT 1 FROM members AS m WHERE m.id = p.pusher AND m.adopter IS NULL))
    ORDER BY p.token LIMIT $5`,
  true,
);
export const FIND_WAITING = found(
  'find_waiting',
  `SELECT id, token FROM task_devices WHERE task = $2 AND status = ${PENDING} AND next_push > $3
    AND hold = ${WAIT_CODE} ORDER BY next_push, id LIMIT $4`,
  false,
);
export const FIND_OF_TASK = found(
  'find_of_task',
  'SELECT id, token FROM task_devices WHERE task = $2 AND status = $3 AND token > $4 ORDER BY token LIMIT $5',
  true,
);
export const FIND_OF_HOLD = found(
  'find_of_hold',
  'SELECT id, token FROM task_devices WHERE task = $2 AND hold = $3 AND token > $4 ORDER BY token LIMIT $5',
  true,
);
export const FIND_NAMES = found(
  'find_names',
  `SELECT x.id, x.token FROM task_names AS k JOIN task_devices AS x ON x.task = k.task AND x.token = k.token
    WHERE k.task = $2 AND k.n <= $3 GROUP BY x.id, x.token ORDER BY min(k.n)`,
  true,
);

export const FIND_ASKING = found(
  'find_asking',
  'SELECT id, token FROM task_devices WHERE task = $2 AND token = ANY ($3::text[]) ORDER BY token',
  true,
);

/** All that decides on the push of devices whose turn has come. */
export const TURN_FACTS = named(
  'turn_facts',
  `SELECT d.id, v.version AS known, CASE v.retained WHEN 0 THEN v.at END AS known_at, u.until,
      o.key, o.name, o.version, k.operator, k.device
    FROM task_devices AS d LEFT JOIN devices AS v ON v.scope = d.scope AND v.token = d.token
      LEFT JOIN late_reports AS u ON u.scope = d.scope AND u.token = d.token
      LEFT JOIN tokens AS k ON k.service = d.service AND k.token = d.token
      LEFT JOIN LATERAL (SELECT o.task, t.key, t.name, t.upgrade::json ->> 'version' AS version
          FROM task_devices AS o JOIN tasks AS t ON t.id = o.task
          WHERE o.token = d.token AND o.scope = d.scope AND o.service = d.service AND o.status = ${SUCCEEDED}
            AND o.task > d.task
        UNION ALL SELECT g.task, g.key, g.name, g.version
          FROM upgraded AS g WHERE g.scope = d.scope AND g.token = d.token AND g.task > d.task
        ORDER BY 1 DESC LIMIT 1) AS o ON true
    WHERE d.id = ANY ($1::bigint[])`,
);

const changing = (names: readonly string[], first: number): string =>
  names.map((name, i) => `$${i + first}::${DEVICE_TYPES[name] ?? 'int'}[]`).join(', ');

/** What a step of progress changes, and nothing else: no index follows. */
export const PROGRESS_COLUMNS = ['step', 'descr', 'since', 'at', 'events'];
export const SAVE_PROGRESS = named(
  'save_progress',
  `UPDATE task_devices AS d SET ${PROGRESS_COLUMNS.map((name) => `${name} = u.${name}`).join(', ')}
    FROM unnest($1::bigint[], ${changing(PROGRESS_COLUMNS, 2)}) AS u (id, ${PROGRESS_COLUMNS.join(', ')})
    WHERE d.id = u.id`,
);
export const ALL_COLUMNS = deviceColumns().map(([name]) => name);
/** Arrays: numbers, whether "due" stays ($2), the instance that pushed or null ($3), all columns. */
export const SAVE_DEVICES = named(
  'save_devices',
  `UPDATE task_devices AS d SET ${ALL_COLUMNS.filter((name) => name !== 'due')
    .map((name) => `${name} = u.${name}`)
    .join(', ')}, due = CASE WHEN u.keeps THEN d.due ELSE u.due END, pusher = coalesce(u.pusher, d.pusher)
    FROM unnest($1::bigint[], $2::bool[], $3::bigint[], ${changing(ALL_COLUMNS, 4)})
      AS u (id, keeps, pusher, ${ALL_COLUMNS.join(', ')})
    WHERE d.id = u.id`,
);
export const SAVE_DUE = named(
  'save_due',
  `UPDATE task_devices AS d SET due = u.due FROM unnest($1::bigint[], $2::float8[]) AS u (id, due)
    WHERE d.id = u.id`,
);
export const TAKEN = named(
  'taken',
  'SELECT task, token FROM task_devices WHERE task = ANY ($1::int[]) AND token = ANY ($2::text[])',
);
export const ADD_DEVICES = named(
  'add_devices',
  `INSERT INTO task_devices (task, service, scope, token, wave, ord, status, source, at, queue)
    SELECT $1, $2, t.scope, u.token, u.wave, u.ord, 0, u.source, u.at, u.queue
    FROM tasks AS t, unnest($3::text[], $4::int[], $5::bigint[], $6::text[], $7::bigint[], $8::float8[])
      AS u (token, wave, ord, source, at, queue) WHERE t.id = $1`,
);
const ROOM_LEFT = `(t.joining::json ->> 'max')::bigint
  - (SELECT coalesce(sum(c.taken), 0) FROM task_counts AS c WHERE c.task = t.id)`;
/**
 * Tasks that are nearly full: whoever takes devices into them waits for all others. Far from its end a task isn't
 * locked, for all instances share its row; so many can't be taken in by transactions that don't see each other.
 */
export const LOCK_NEARLY_FULL = named(
  'lock_nearly_full',
  `SELECT t.id FROM tasks AS t WHERE t.id = ANY ($1::int[]) AND ${ROOM_LEFT} < 20000 ORDER BY t.id
    FOR NO KEY UPDATE`,
);
/**
 * Devices that tasks take in: one that is there already is left out, and counted nowhere. So is one for which another
 * instance has left no room.
 */
export const JOIN_DEVICES = named(
  'join_devices',
  `WITH added AS (INSERT INTO task_devices (task, service, scope, token, wave, ord, status, source, at, queue)
      SELECT u.task, $1, t.scope, u.token, u.wave, u.ord, 0, u.source, u.at, u.queue
      FROM (SELECT *, row_number() OVER (PARTITION BY task ORDER BY token) AS n FROM
          unnest($3::int[], $4::text[], $5::int[], $6::bigint[], $7::text[], $8::bigint[], $9::float8[])
            AS j (task, token, wave, ord, source, at, queue)) AS u JOIN tasks AS t ON t.id = u.task
      WHERE u.n <= ${ROOM_LEFT}
      ORDER BY u.token, u.task
      ON CONFLICT (task, token) DO NOTHING RETURNING task, wave)
    INSERT INTO task_counts AS c (task, wave, part, total, pending, taken)
      SELECT task, wave, $2, count(*), count(*), count(*) FROM added GROUP BY task, wave
      ON CONFLICT (task, wave, part) DO UPDATE SET total = c.total + excluded.total,
        pending = c.pending + excluded.pending, taken = c.taken + excluded.taken`,
);

// History

export const ADD_HISTORY = named(
  'add_history',
  `INSERT INTO history (device, upto, at, lines)
    SELECT * FROM unnest($1::bigint[], $2::int[], $3::bigint[], $4::text[])`,
);
export const TRIM_HISTORY = named(
  'trim_history',
  `DELETE FROM history AS h USING unnest($1::bigint[], $2::int[]) AS u (device, upto)
    WHERE h.device = u.device AND h.upto <= u.upto`,
);
export const HISTORY = named('history', 'SELECT lines FROM history WHERE device = $1 ORDER BY upto');
export const HISTORIES = named(
  'histories',
  'SELECT device, lines FROM history WHERE device = ANY ($1::bigint[]) ORDER BY device, upto',
);
export const PRUNE_HISTORY = named(
  'prune_history',
  'DELETE FROM history WHERE device > $1 AND device <= $2 AND at < $3',
);
export const END_OF_HISTORY = named(
  'end_of_history',
  `SELECT coalesce(max(device), 0) AS device, count(*)::int AS n
    FROM (SELECT device FROM history WHERE device > $1 ORDER BY device LIMIT $2) AS h`,
);
/** Those that can't come any more, of some devices after one ($1, $2); the last of them, and how many they were. */
export const PRUNE_LATE = named(
  'prune_late',
  `WITH slice AS MATERIALIZED (SELECT scope, token FROM late_reports WHERE (scope, token) > ($1, $2)
      ORDER BY scope, token LIMIT $3),
    gone AS (DELETE FROM late_reports AS l USING slice AS x, scopes AS c, services AS s
      WHERE l.scope = x.scope AND l.token = x.token AND c.id = l.scope AND s.id = c.service AND l.until < s.clock)
    SELECT scope, token, count(*) OVER ()::int AS n FROM slice ORDER BY scope DESC, token DESC LIMIT 1`,
);

export const SET_LATE = named(
  'set_late',
  `INSERT INTO late_reports (scope, token, until) SELECT * FROM unnest($1::int[], $2::text[], $3::float8[])
    ON CONFLICT (scope, token) DO UPDATE SET until = excluded.until`,
);
export const CLEAR_LATE = named(
  'clear_late',
  `DELETE FROM late_reports AS l USING unnest($1::int[], $2::text[]) AS u (scope, token)
    WHERE l.scope = u.scope AND l.token = u.token`,
);

// What is known of devices

export const KNOWN = named(
  'known',
  `SELECT d.token, d.scope, c.module, d.version, d.last_id, d.at, d.retained FROM devices AS d
    JOIN scopes AS c ON c.id = d.scope WHERE c.service = $1 AND d.token = ANY ($2::text[]) ORDER BY c.module`,
);
export const TOKENS = named(
  'tokens',
  'SELECT token, operator, device, seen_at FROM tokens WHERE service = $1 AND token = ANY ($2::text[])',
);
export const COUNT_KNOWN = named('count_known', 'SELECT coalesce(sum(n), 0)::int AS n FROM version_counts');
/** A row that another instance made meanwhile makes the transaction run again. */
export const ADD_KNOWN = named(
  'add_known',
  `INSERT INTO devices (scope, token, version, last_id, at, retained)
    SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::int[])`,
);
/** So does a version that isn't the one that was read any more: dividing by zero ends the transaction. */
export const SAVE_KNOWN = named(
  'save_known',
  `WITH saved AS (UPDATE devices AS d SET version = u.version, last_id = u.last_id, at = u.at, retained = u.retained
      FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::int[], $7::text[])
        AS u (scope, token, version, last_id, at, retained, before)
      WHERE d.scope = u.scope AND d.token = u.token AND d.version = u.before RETURNING 1)
    SELECT 1 / (CASE WHEN (SELECT count(*) FROM saved) = $8::int THEN 1 ELSE 0 END) AS ok`,
);
export const COUNT_VERSIONS = named(
  'count_versions',
  `INSERT INTO version_counts AS v (scope, version, part, n)
    SELECT * FROM unnest($1::int[], $2::text[], $3::int[], $4::int[])
    ON CONFLICT (scope, version, part) DO UPDATE SET n = v.n + excluded.n`,
);
/** Devices that have no row yet get one, to be locked. */
export const ADD_TOKENS = named(
  'add_tokens',
  'INSERT INTO tokens (service, token) SELECT $1, * FROM unnest($2::text[]) ON CONFLICT DO NOTHING',
);
/** Labels that are no longer those that were read ($3, $4) make the transaction run again. */
export const LOCK_LABELS = named(
  'lock_labels',
  `SELECT 1 / (CASE WHEN count(*) = $5::int THEN 1 ELSE 0 END) AS ok FROM (
    SELECT 1 FROM unnest($2::text[], $3::text[], $4::text[]) AS u (token, operator, device)
      JOIN tokens AS t
        ON t.service = $1 AND t.token = u.token AND t.operator = u.operator AND t.device = u.device
      ORDER BY t.token FOR NO KEY UPDATE OF t) AS same`,
);
export const SAVE_LABELS = named(
  'save_labels',
  `UPDATE tokens AS t SET operator = u.operator, device = u.device
    FROM unnest($2::text[], $3::text[], $4::text[]) AS u (token, operator, device)
    WHERE t.service = $1 AND t.token = u.token`,
);
export const CLEAR_LABELS = named(
  'clear_labels',
  `DELETE FROM label_values AS l USING unnest($2::text[], $3::text[], $4::text[]) AS u (name, value, token)
    WHERE l.service = $1 AND l.name = u.name AND l.value = u.value AND l.token = u.token`,
);
/** A device that is being forgotten is waited for, and found no more. */
export const ADD_LABELS = named(
  'add_labels',
  `INSERT INTO label_values (service, name, value, token)
    SELECT $1, u.name, u.value, u.token FROM unnest($2::text[], $3::text[], $4::text[]) AS u (name, value, token)
    WHERE EXISTS (SELECT 1 FROM devices AS d JOIN scopes AS c ON c.id = d.scope
      WHERE c.service = $1 AND d.token = u.token FOR KEY SHARE OF d)
    ON CONFLICT DO NOTHING`,
);
export const SAVE_SEEN = named(
  'save_seen',
  `INSERT INTO tokens AS t (service, token, seen_at) SELECT $1, * FROM unnest($2::text[], $3::bigint[])
    ON CONFLICT (service, token) DO UPDATE SET seen_at = greatest(t.seen_at, excluded.seen_at)`,
);
export const FORGET_KNOWN = named(
  'forget_known',
  `WITH gone AS (DELETE FROM devices AS d USING scopes AS c WHERE c.id = d.scope AND c.service = $1
      AND d.token = ANY ($2::text[]) RETURNING d.scope, d.token, d.version),
    clean AS (DELETE FROM upgraded AS u USING gone WHERE u.scope = gone.scope AND u.token = gone.token)
    INSERT INTO version_counts AS v (scope, version, part, n)
      SELECT scope, version, $3, -count(*) FROM gone GROUP BY scope, version
      ON CONFLICT (scope, version, part) DO UPDATE SET n = v.n + excluded.n`,
);
export const FORGET_TOKENS = named(
  'forget_tokens',
  'DELETE FROM tokens WHERE service = $1 AND token = ANY ($2::text[])',
);
/** Some devices after one ($1, $2) and whether nobody misses them: known by their version only, not seen since $3. */
export const KNOWN_SLICE = named(
  'known_slice',
  `SELECT d.scope, d.token, NOT EXISTS (SELECT 1 FROM devices AS o JOIN scopes AS s ON s.id = o.scope
        WHERE o.token = d.token AND s.service = c.service AND o.at >= $3)
      AND coalesce(t.seen_at, 0) < $3 AND coalesce(t.operator, '{}') = '{}' AND coalesce(t.device, '{}') = '{}'
      AND NOT EXISTS (SELECT 1 FROM task_devices AS m WHERE m.token = d.token AND m.service = c.service)
      AND NOT EXISTS (SELECT 1 FROM upgraded AS u JOIN scopes AS s ON s.id = u.scope
        WHERE u.token = d.token AND s.service = c.service) AS idle
    FROM devices AS d JOIN scopes AS c ON c.id = d.scope
      LEFT JOIN tokens AS t ON t.service = c.service AND t.token = d.token
    WHERE (d.scope, d.token) > ($1, $2) ORDER BY d.scope, d.token LIMIT $4`,
);
/** A device that reported meanwhile stays. */
export const MAKE_ROOM = named(
  'make_room',
  `WITH gone AS (DELETE FROM devices AS d USING unnest($1::int[], $2::text[]) AS u (scope, token)
      WHERE d.scope = u.scope AND d.token = u.token AND d.at < $3 RETURNING d.scope, d.token, d.version),
    clean AS (DELETE FROM tokens AS t USING gone JOIN scopes AS c ON c.id = gone.scope
      WHERE t.service = c.service AND t.token = gone.token)
    INSERT INTO version_counts AS v (scope, version, part, n)
      SELECT scope, version, $4, -count(*) FROM gone GROUP BY scope, version
      ON CONFLICT (scope, version, part) DO UPDATE SET n = v.n + excluded.n`,
);
