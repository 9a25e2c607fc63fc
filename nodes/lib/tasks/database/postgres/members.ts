/**
 * The instances that share a fleet, as rows of the database: who lives, whose MQTT session nobody serves any more, and
 * the fleet's one clock. A beat moves the clock on by the database's time, and only while every instance hears its
 * devices. The database's wall clock may be set: an instance counts as silent only where its row did not change, either,
 * for as long as this process has looked. Knows no MQTT; what a session is adopted with is the platform's.
 */
import type { Beat, BeatState, FleetMembers, Joining, Orphan } from '../store';
import type { PostgresPool } from './driver';
import type { SqlRow } from '../rows';
import type { PostgresTasks } from './database';
import { SILENT_MS, WALL } from './statements';

/** A silent row counts once it was seen unchanged for so long: whoever lives beats again within a second of a clock that was set. */
const UNCHANGED_MS = 3000;
/** Milliseconds of silence after which the clock stands still for it. */
const LATE_MS = 2500;
/** An instance that beats but hears nothing for so long counts no more. */
const DEAF_MS = 30_000;
/** It takes a life less to be subscribed, as a rule. */
const YOUNG_MS = 5000;
/** A beat moves the clock on by so much at most. */
const LONGEST_BEAT_MS = 2000;

/** A row as it was seen, and since when it has been so, in milliseconds of this process's steady clock. */
interface Seen {
  readonly beatAt: number;
  readonly since: number;
}

export class Members implements FleetMembers {
  readonly #pool: PostgresPool;
  readonly #tasks: PostgresTasks;
  #id = 0;
  /** The other rows of the last look. */
  #seen: ReadonlyMap<number, Seen> = new Map();
  /** Of these the silent ones, with the beat that they stopped at. */
  #silent: ReadonlyMap<number, number> = new Map();
  /** When it heard its devices last, or began a life; by the clock of this process, which is never set. */
  #heardAt: number;
  readonly #steady: () => number;

  /** @param steady milliseconds of a clock that is never set */
  constructor(pool: PostgresPool, tasks: PostgresTasks, steady: () => number = () => performance.now()) {
    this.#pool = pool;
    this.#tasks = tasks;
    this.#steady = steady;
    this.#heardAt = steady();
  }

  async join({ clientId, name, deaf }: Joining): Promise<void> {
    // A new life has its time to connect, unless the one before was deaf already.
    if (!deaf) this.#heardAt = this.#steady();
    const text = `INSERT INTO members (service, client_id, name, part, beat_at, heard_at, deaf)
      SELECT $1, $2, $3, (SELECT min(n) FROM generate_series(1, 1000) AS n
        WHERE NOT EXISTS (SELECT 1 FROM members AS m WHERE m.part = n)), ${WALL}, -${WALL}, $4 RETURNING id, part`;
    const service = await this.#tasks.keys.service();
    const [row] = await this.#pool.read({ text }, [service, clientId, name, Number(deaf)]);
    this.#id = Number(row?.['id'] ?? 0);
    this.#tasks.writeAs({ member: this.#id, part: Number(row?.['part'] ?? 0) });
  }

  async beat({ hears, granted, subscribed }: BeatState): Promise<Beat> {
    const service = await this.#tasks.keys.service();
    if (hears) this.#heardAt = this.#steady();
    const deaf = this.#steady() - this.#heardAt > DEAF_MS;
    const flags = [Number(hears), Number(subscribed), Number(deaf), Number(granted)];
    const silent = [[...this.#silent.keys()], [...this.#silent.values()]];
    const [row] = await this.#pool.read(BEAT, [this.#id, service, ...flags, ...silent]);
    const members = await this.#pool.read(MEMBERS, [service]);
    const wall = Number(row?.['wall'] ?? 0);
    const others = members.filter((member) => member['id'] !== this.#id);
    this.#look(others, wall);
    // One that never heard has no session that anybody must take over; it may hear at any time.
    const isGone = (member: SqlRow): boolean =>
      this.#silent.has(member['id'] as number) || (member['deaf'] === 1 && Number(member['heard_at']) > 0);
    const serving = new Set(
      others.filter((member) => member['adopter'] === null && !isGone(member)).map((member) => member['id']),
    );
    // What this instance has adopted itself stays an orphan until it is through: the adoption may have failed.
    const isOrphan = (member: SqlRow): boolean =>
      member['adopter'] === this.#id || (isGone(member) && !serving.has(member['adopter'] ?? 0));
    return {
      lives: Boolean(row?.['lives']),
      wall,
      ticks: Math.round(Number(row?.['clock'] ?? 0)),
      orphans: others
        .filter((member) => member['subscribed'] === 1 && isOrphan(member))
        .map((member) => ({
          id: member['id'] as number,
          clientId: member['client_id'] as string,
          name: member['name'] as string,
          heard: mayHaveHeard(member),
        })),
      deaf: members.filter((member) => member['deaf'] === 1).map((member) => member['name'] as string),
    };
  }

  /** Who is silent: its beat is far from the clock, and hasn't changed while this process looked. */
  #look(others: readonly SqlRow[], wall: number): void {
    const now = this.#steady();
    const seen = new Map<number, Seen>();
    const silent = new Map<number, number>();
    for (const member of others) {
      const id = member['id'] as number;
      const beatAt = Number(member['beat_at']);
      const before = this.#seen.get(id);
      const since = before?.beatAt === beatAt ? before.since : now;
      seen.set(id, { beatAt, since });
      // One that has left says so.
      const isSilent = beatAt === 0 || (Math.abs(beatAt - wall) > SILENT_MS && now - since >= UNCHANGED_MS);
      if (isSilent) silent.set(id, beatAt);
    }
    this.#seen = seen;
    this.#silent = silent;
  }

  async adopt({ id }: Pick<Orphan, 'id'>): Promise<boolean> {
    const silent = [[...this.#silent.keys()], [...this.#silent.values()]];
    return this.#pool.transaction(async (transaction) => {
      // Waits for a transaction of reports that is under way, and keeps all later ones away.
      const lock = `SELECT 1 FROM members AS m WHERE m.id = $1 AND (m.adopter = $2 OR ${isGone('m')})
        AND NOT EXISTS (SELECT 1 FROM members AS a
          WHERE a.id = m.adopter AND a.id <> $2 AND a.adopter IS NULL AND NOT (${isGone('a')})) FOR UPDATE OF m`;
      const [free] = await transaction.read({ text: lock }, [id, this.#id, ...silent]);
      if (free === undefined) return false;
      const text = `UPDATE members SET adopter = $2, adopted_at = ${WALL} WHERE id = $1`;
      transaction.write({ text }, [id, this.#id]);
      await transaction.commit();
      return true;
    });
  }

  async remove(id: number): Promise<void> {
    await this.#pool.read({ text: 'DELETE FROM members WHERE id = $1' }, [id]);
  }

  async leave(): Promise<void> {
    if (this.#id === 0) return;
    const id = this.#id;
    this.#id = 0;
    await this.#pool.read({ text: 'UPDATE members SET beat_at = 0, hears = 0 WHERE id = $1' }, [id]);
  }
}

/** False where its devices' reports never came to it. What was young at its last beat may have subscribed since. */
function mayHaveHeard(member: SqlRow): boolean {
  const heardAt = Number(member['heard_at']);
  const beatAt = Number(member['beat_at']);
  return heardAt > 0 || (beatAt > 0 && member['deaf'] === 0 && beatAt + heardAt < YOUNG_MS);
}

/** A row that was seen to be silent (ids and beats: places 3 and 4) and has not beaten since, or that became deaf. */
function isGone(row: string): string {
  return `(${row}.deaf = 1 AND ${row}.heard_at > 0) OR ${isSilent(row, [3, 4])}`;
}

/** @param places of the ids and of the beats of the silent */
function isSilent(row: string, [ids, beats]: readonly [number, number]): string {
  return `${row}.beat_at = 0 OR EXISTS (SELECT 1 FROM unnest($${ids}::bigint[], $${beats}::float8[]) AS s (id, beat_at)
    WHERE s.id = ${row}.id AND s.beat_at = ${row}.beat_at)`;
}

/**
 * Moves the clock on where this instance and all others hear; rows without a session go when they fall silent.
 * "heard_at": when it was subscribed last; negative: when its life began, and it hasn't been since.
 */
const BEAT = {
  name: 'ota_beat',
  text: `WITH now AS MATERIALIZED (SELECT ${WALL} AS wall),
    me AS (UPDATE members AS m SET beat_at = now.wall, hears = $3::int, subscribed = greatest(m.subscribed, $4::int),
        heard_at = CASE WHEN $6::int = 1 THEN now.wall ELSE m.heard_at END,
        deaf = CASE WHEN $3::int = 1 THEN 0 WHEN $5::int = 1 THEN 1 ELSE m.deaf END
      FROM now WHERE m.id = $1 AND m.adopter IS NULL RETURNING m.id),
    gone AS (DELETE FROM members AS g USING (SELECT m.id FROM members AS m
        WHERE m.service = $2 AND m.id <> $1 AND m.subscribed = 0 AND (${isSilent('m', [7, 8])})
        FOR UPDATE SKIP LOCKED) AS silent WHERE g.id = silent.id),
    moved AS (UPDATE services AS s SET clock_at = now.wall, clock = s.clock + CASE WHEN EXISTS (
          SELECT 1 FROM members AS o WHERE o.service = $2 AND o.id <> $1 AND o.deaf = 0
            AND (o.hears = 0 OR o.adopter IS NOT NULL OR abs(o.beat_at - now.wall) > ${LATE_MS}))
        THEN 0 ELSE least(${LONGEST_BEAT_MS}, greatest(0, now.wall - s.clock_at)) END
      FROM now WHERE s.id = $2 AND $3::int = 1 AND EXISTS (SELECT 1 FROM me) RETURNING s.clock)
    SELECT now.wall, coalesce((SELECT clock FROM moved), s.clock) AS clock, EXISTS (SELECT 1 FROM me) AS lives
      FROM now, services AS s WHERE s.id = $2`,
};

const MEMBERS = {
  name: 'ota_members',
  text: `SELECT id, client_id, name, subscribed, beat_at, heard_at, deaf, adopter FROM members WHERE service = $1
    ORDER BY id`,
};
