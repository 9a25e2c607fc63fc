/**
 * The tables in PostgreSQL, as a list of migrations that run in their order, each once, under a lock that all
 * instances respect. A migration that was released is never changed: another one is added.
 *
 * What reports write has room in its page (fillfactor) and stands in no index, so that an update stays in its page
 * (HOT). Counts are kept in parts, one for each instance, and summed when they are read: no two instances write the
 * same row for a report.
 */
import { OtaError } from '../../../protocol';
import type { PostgresPool, Transaction } from './driver';

interface Migration {
  readonly name: string;
  readonly sql: string;
}

export const MIGRATIONS: readonly Migration[] = [
  {
    name: 'tasks, their devices, versions, labels, history, instances',
    sql: `
      CREATE TABLE services (
        id serial PRIMARY KEY, key text COLLATE "C" NOT NULL UNIQUE,
        clock float8 NOT NULL DEFAULT 0, clock_at float8 NOT NULL DEFAULT 0
      ) WITH (fillfactor = 50);
      CREATE TABLE scopes (
        id serial PRIMARY KEY, service int NOT NULL, module text COLLATE "C" NOT NULL, UNIQUE (service, module)
      );
      CREATE TABLE devices (
        scope int NOT NULL, token text COLLATE "C" NOT NULL, version text NOT NULL, last_id text,
        at bigint NOT NULL, retained smallint NOT NULL DEFAULT 0, PRIMARY KEY (scope, token)
      ) WITH (fillfactor = 85);
      CREATE INDEX devices_token ON devices (token, scope);
      CREATE INDEX devices_version ON devices (scope, version, token);
      CREATE TABLE tokens (
        service int NOT NULL, token text COLLATE "C" NOT NULL, operator text NOT NULL DEFAULT '{}',
        device text NOT NULL DEFAULT '{}', seen_at bigint, PRIMARY KEY (service, token)
      ) WITH (fillfactor = 85);
      CREATE TABLE label_values (
        service int NOT NULL, name text COLLATE "C" NOT NULL, value text COLLATE "C" NOT NULL,
        token text COLLATE "C" NOT NULL, PRIMARY KEY (service, name, value, token)
      );
      CREATE TABLE version_counts (
        scope int NOT NULL, version text COLLATE "C" NOT NULL, part int NOT NULL, n bigint NOT NULL,
        PRIMARY KEY (scope, version, part)
      ) WITH (fillfactor = 50);
      -- revision: another one whenever the rules of its devices are others.
      CREATE TABLE tasks (
        id serial PRIMARY KEY, key text COLLATE "C" NOT NULL UNIQUE, service int NOT NULL, scope int NOT NULL,
        visible smallint NOT NULL DEFAULT 0, live smallint NOT NULL DEFAULT 1, revision int NOT NULL DEFAULT 1,
        status text NOT NULL, reason text, wave int NOT NULL DEFAULT 1,
        base_succeeded int NOT NULL DEFAULT 0, base_failed int NOT NULL DEFAULT 0, pace float8 NOT NULL DEFAULT 0,
        created_at bigint NOT NULL, start_at bigint, started_at bigint, ended_at bigint,
        name text NOT NULL, policy text NOT NULL, upgrade text NOT NULL, package text NOT NULL,
        description text NOT NULL DEFAULT '', packages text, end_at bigint, end_behavior text NOT NULL DEFAULT 'stop',
        joining text, soak_from float8, intent text, intent_by bigint,
        running_before float8 NOT NULL DEFAULT 0, running_since float8
      ) WITH (fillfactor = 50);
      CREATE INDEX tasks_live ON tasks (service) WHERE live = 1 AND visible = 1;
      CREATE INDEX tasks_shown ON tasks (service, id) WHERE visible = 1;
      CREATE INDEX tasks_hidden ON tasks (id) WHERE visible = 0;
      CREATE TABLE task_counts (
        task int NOT NULL, wave int NOT NULL, part int NOT NULL, total int NOT NULL DEFAULT 0,
        pending int NOT NULL DEFAULT 0, waiting int NOT NULL DEFAULT 0, pushed int NOT NULL DEFAULT 0,
        upgrading int NOT NULL DEFAULT 0, succeeded int NOT NULL DEFAULT 0, failed int NOT NULL DEFAULT 0,
        incompatible int NOT NULL DEFAULT 0, cancelled int NOT NULL DEFAULT 0, taken int NOT NULL DEFAULT 0,
        PRIMARY KEY (task, wave, part)
      ) WITH (fillfactor = 50);
      CREATE TABLE task_reasons (
        task int NOT NULL, reason text COLLATE "C" NOT NULL, part int NOT NULL, n int NOT NULL,
        PRIMARY KEY (task, reason, part)
      ) WITH (fillfactor = 50);
      CREATE TABLE task_ends (
        task int NOT NULL, at bigint NOT NULL, part int NOT NULL, succeeded int NOT NULL, failed int NOT NULL,
        cancelled int NOT NULL, PRIMARY KEY (task, at, part)
      ) WITH (fillfactor = 50);
      CREATE TABLE task_log (
        task int NOT NULL, number int NOT NULL, at bigint NOT NULL, event text NOT NULL, by text, remark text,
        reason text, wave int, PRIMARY KEY (task, number)
      );
      CREATE TABLE task_names (
        task int NOT NULL, n int NOT NULL, token text COLLATE "C" NOT NULL, PRIMARY KEY (task, n)
      );
      -- Every so many tokens of a task, in their order: where a page far behind begins.
      CREATE TABLE task_places (
        task int NOT NULL, place int NOT NULL, token text COLLATE "C" NOT NULL, PRIMARY KEY (task, place)
      );
      -- status and hold are places in the lists of the types; limits are ticks, "at" is the wall clock.
      -- open: a report may still move it. due: a limit. queue: its place, where it waits for a push.
      -- pusher: the instance that pushed to it last.
      CREATE TABLE task_devices (
        id bigserial PRIMARY KEY, task int NOT NULL, service int NOT NULL, scope int NOT NULL,
        token text COLLATE "C" NOT NULL, wave int NOT NULL, ord bigint NOT NULL, status smallint NOT NULL,
        hold smallint, step int, attempt int NOT NULL DEFAULT 0, retries int NOT NULL DEFAULT 0,
        reason text, descr text NOT NULL DEFAULT '', source text, push_id text, pushes int NOT NULL DEFAULT 0,
        next_push float8, since float8 NOT NULL DEFAULT 0, hundred smallint NOT NULL DEFAULT 0,
        confirmed smallint NOT NULL DEFAULT 0, late_until float8, version_before text,
        variant int NOT NULL DEFAULT 0, same_attempt smallint NOT NULL DEFAULT 0, first_wait float8,
        probes int NOT NULL DEFAULT 0, repeats int NOT NULL DEFAULT 0, life_at float8, asked int NOT NULL DEFAULT 0,
        counted_push int NOT NULL DEFAULT 0, last_push float8, reboot_at float8,
        third_version smallint NOT NULL DEFAULT 0, overtaken smallint NOT NULL DEFAULT 0,
        named smallint NOT NULL DEFAULT 0, cancelled_by_name smallint NOT NULL DEFAULT 0,
        at bigint NOT NULL, events int NOT NULL DEFAULT 0, open smallint NOT NULL DEFAULT 1, queue float8,
        due float8, pusher bigint
      ) WITH (fillfactor = 85);
      CREATE UNIQUE INDEX task_devices_task ON task_devices (task, token);
      CREATE INDEX task_devices_status ON task_devices (task, status, token);
      CREATE INDEX task_devices_token ON task_devices (token, service, open, scope, id);
      -- At most one active upgrade of a device's module, over all tasks (1: pushed, 2: upgrading).
      CREATE UNIQUE INDEX task_devices_active ON task_devices (token, scope) WHERE status IN (1, 2);
      CREATE INDEX task_devices_due ON task_devices (service, due, id) WHERE due IS NOT NULL;
      CREATE INDEX task_devices_queue ON task_devices (task, queue, id) WHERE queue IS NOT NULL;
      CREATE INDEX task_devices_repeats ON task_devices (task, status, next_push, id) WHERE next_push IS NOT NULL;
      CREATE INDEX task_devices_reason ON task_devices (task, reason, token) WHERE reason IS NOT NULL;
      CREATE INDEX task_devices_hold ON task_devices (task, hold, token) WHERE hold IS NOT NULL;
      CREATE INDEX task_devices_wave ON task_devices (task, wave, token);
      -- A 100 of an attempt that ended without the device's last word may come until then.
      CREATE TABLE late_reports (
        scope int NOT NULL, token text COLLATE "C" NOT NULL, until float8 NOT NULL, PRIMARY KEY (scope, token)
      );
      -- The newest task of those that were removed in which a device succeeded: no older one may undo it.
      CREATE TABLE upgraded (
        scope int NOT NULL, token text COLLATE "C" NOT NULL, task int NOT NULL, key text NOT NULL, name text NOT NULL,
        version text NOT NULL, PRIMARY KEY (scope, token)
      );
      CREATE INDEX upgraded_token ON upgraded (token);
      -- What one transaction brought to a device: JSON, up to and with its event number "upto".
      CREATE TABLE history (
        device bigint NOT NULL, upto int NOT NULL, at bigint NOT NULL, lines text NOT NULL,
        PRIMARY KEY (device, upto)
      );
      -- One life of an instance, with the MQTT session that is its own.
      CREATE TABLE members (
        id bigserial PRIMARY KEY, service int NOT NULL, client_id text COLLATE "C" NOT NULL UNIQUE,
        part int NOT NULL, name text NOT NULL DEFAULT '', beat_at float8 NOT NULL, hears smallint NOT NULL DEFAULT 0,
        heard_at float8 NOT NULL, deaf smallint NOT NULL DEFAULT 0, subscribed smallint NOT NULL DEFAULT 0,
        adopter bigint, adopted_at float8
      ) WITH (fillfactor = 50);
      CREATE INDEX members_service ON members (service);
    `,
  },
  {
    name: 'labels by which devices that have reported are found',
    sql: `
      -- A device that has not reported is found by none.
      DELETE FROM label_values AS l WHERE NOT EXISTS (SELECT 1 FROM devices AS d JOIN scopes AS c ON c.id = d.scope
        WHERE d.token = l.token AND c.service = l.service);
    `,
  },
];

/** The newest schema that this version knows. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/** How long a step may take: the tables of a large fleet get a new index. */
const LIMIT_MS = 3_600_000;

/** Any number that nobody else uses; with the schema's name it makes the lock. */
const LOCK = 7_265_117;

/**
 * Brings a schema to the newest form; instances that do it at the same time wait for each other.
 * @throws OtaError OTA_STORE_NEWER where a later version of this package made it; nothing is changed then
 */
export async function migrate(pool: PostgresPool, schema: string, wall: number): Promise<void> {
  const found = await pool.read({ text: 'SELECT to_regclass($1) IS NOT NULL AS yes' }, [
    `"${schema}".migrations`,
  ]);
  if (Boolean(found[0]?.['yes']) && (await versionOf(pool)) === SCHEMA_VERSION) return;
  const work = async (transaction: Transaction): Promise<void> => {
    transaction.write({ text: 'SET LOCAL lock_timeout TO 0' });
    transaction.write({ text: `SELECT pg_advisory_xact_lock(${LOCK}, hashtext($1))` }, [schema]);
    const version = await prepare(transaction, schema);
    if (version > SCHEMA_VERSION) throw newerError(version);
    for (const [i, migration] of MIGRATIONS.entries()) {
      if (i < version) continue;
      transaction.write({ text: migration.sql });
      transaction.write({ text: 'INSERT INTO migrations (version, name, at) VALUES ($1, $2, $3)' }, [
        i + 1,
        migration.name,
        wall,
      ]);
    }
    await transaction.commit();
  };
  await pool.transaction(work, { limitMs: LIMIT_MS });
}

async function versionOf(pool: PostgresPool): Promise<number> {
  const rows = await pool.read({ text: 'SELECT coalesce(max(version), 0) AS version FROM migrations' });
  return Number(rows[0]?.['version'] ?? 0);
}

/** Makes the schema and the list of migrations where there is none; answers the newest that ran. */
async function prepare(transaction: Transaction, schema: string): Promise<number> {
  const [there] = await transaction.read(
    { text: 'SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1) AS yes' },
    [schema],
  );
  if (!there?.['yes']) transaction.write({ text: `CREATE SCHEMA "${schema}"` });
  const tables = await transaction.read(
    { text: "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace($1)" },
    [`"${schema}"`],
  );
  if (!tables.some((table) => table['relname'] === 'migrations')) {
    if (tables.length > 0) {
      throw new OtaError(
        'OTA_STORE_FAILED',
        `The schema "${schema}" has tables of something else: choose another schema in the ota-store.`,
      );
    }
    transaction.write({
      text: 'CREATE TABLE migrations (version int PRIMARY KEY, name text NOT NULL, at bigint NOT NULL)',
    });
    return 0;
  }
  const [row] = await transaction.read({
    text: 'SELECT coalesce(max(version), 0) AS version FROM migrations',
  });
  return Number(row?.['version'] ?? 0);
}

function newerError(version: number): OtaError {
  return new OtaError(
    'OTA_STORE_NEWER',
    `The schema was made by a later version of this package (version ${version}, this one knows ${SCHEMA_VERSION}): update the package, or choose another schema. Nothing was changed.`,
  );
}
