/**
 * The instances that share a fleet, as rows of the database: who lives, whose MQTT session nobody serves any more, and
 * the fleet's one clock. A beat moves the clock on by the database's time, and only while every instance hears its
 * devices. Knows no MQTT; what a session is adopted with is the platform's.
 */
import type { Beat, FleetMembers, Joining, Orphan } from '../store';
import type { PostgresPool } from './driver';
import type { PostgresTasks } from './database';
import { WALL } from './statements';

/** Milliseconds of silence after which an instance is adopted. */
const SILENT_MS = 4000;
/** …after which the clock stands still for it. */
const LATE_MS = 2500;
/** An instance that beats but hears nothing for so long counts no more. */
const DEAF_MS = 30_000;
/** A beat moves the clock on by so much at most. */
const LONGEST_BEAT_MS = 2000;

export class Members implements FleetMembers {
  readonly #pool: PostgresPool;
  readonly #tasks: PostgresTasks;
  #id = 0;

  constructor(pool: PostgresPool, tasks: PostgresTasks) {
    this.#pool = pool;
    this.#tasks = tasks;
  }

  async join({ clientId, name, deaf }: Joining): Promise<void> {
    const text = `INSERT INTO members (service, client_id, name, part, beat_at, heard_at, deaf)
      SELECT $1, $2, $3, (SELECT min(n) FROM generate_series(1, 1000) AS n
        WHERE NOT EXISTS (SELECT 1 FROM members AS m WHERE m.part = n)), ${WALL}, ${WALL}, $4 RETURNING id, part`;
    const service = await this.#tasks.keys.service();
    const [row] = await this.#pool.read({ text }, [service, clientId, name, Number(deaf)]);
    this.#id = Number(row?.['id'] ?? 0);
    this.#tasks.writeAs({ member: this.#id, part: Number(row?.['part'] ?? 0) });
  }

  async beat({ hears, subscribed }: { hears: boolean; subscribed: boolean }): Promise<Beat> {
    const service = await this.#tasks.keys.service();
    const values = [this.#id, Number(hears), Number(subscribed), service];
    const [row] = await this.#pool.read(BEAT, values);
    const members = await this.#pool.read(MEMBERS, [service]);
    const wall = Number(row?.['wall'] ?? 0);
    const others = members.filter((member) => member['id'] !== this.#id);
    const isSilent = (member: (typeof others)[number]): boolean =>
      Number(member['beat_at']) < wall - SILENT_MS || member['deaf'] === 1;
    // What this instance has adopted itself stays an orphan until it is through: the adoption may have failed.
    const served = new Set(others.filter((member) => !isSilent(member)).map((member) => member['id']));
    return {
      lives: Boolean(row?.['lives']),
      wall,
      ticks: Math.round(Number(row?.['clock'] ?? 0)),
      orphans: others
        .filter(
          (member) => member['subscribed'] === 1 && isSilent(member) && !served.has(member['adopter'] ?? 0),
        )
        .map((member) => ({
          id: member['id'] as number,
          clientId: member['client_id'] as string,
          name: member['name'] as string,
        })),
      deaf: members.filter((member) => member['deaf'] === 1).map((member) => member['name'] as string),
    };
  }

  async adopt({ id }: Orphan): Promise<boolean> {
    const silent = `beat_at < ${WALL} - ${SILENT_MS} OR deaf = 1`;
    return this.#pool.transaction(async (transaction) => {
      // Waits for a transaction of reports that is under way, and keeps all later ones away.
      const lock = `SELECT 1 FROM members AS m WHERE m.id = $1 AND (${silent}) AND NOT EXISTS (SELECT 1 FROM members AS a
        WHERE a.id = m.adopter AND a.id <> $2 AND a.beat_at >= ${WALL} - ${SILENT_MS}) FOR UPDATE OF m`;
      const [free] = await transaction.read({ text: lock }, [id, this.#id]);
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

/** Moves the clock on where this instance and all others hear; rows without a session go when they fall silent. */
const BEAT = {
  name: 'ota_beat',
  text: `WITH now AS MATERIALIZED (SELECT ${WALL} AS wall),
    me AS (UPDATE members AS m SET beat_at = now.wall, hears = $2::int, subscribed = greatest(m.subscribed, $3::int),
        heard_at = CASE WHEN $2::int = 1 THEN now.wall ELSE m.heard_at END,
        deaf = CASE WHEN $2::int = 1 THEN 0 WHEN now.wall - m.heard_at > ${DEAF_MS} THEN 1 ELSE m.deaf END
      FROM now WHERE m.id = $1 AND m.adopter IS NULL RETURNING m.id),
    gone AS (DELETE FROM members AS m USING now
      WHERE m.service = $4 AND m.id <> $1 AND m.subscribed = 0 AND m.beat_at < now.wall - ${SILENT_MS}),
    moved AS (UPDATE services AS s SET clock_at = now.wall, clock = s.clock + CASE WHEN EXISTS (
          SELECT 1 FROM members AS o WHERE o.service = $4 AND o.id <> $1 AND o.deaf = 0
            AND (o.hears = 0 OR o.adopter IS NOT NULL OR o.beat_at < now.wall - ${LATE_MS}))
        THEN 0 ELSE least(${LONGEST_BEAT_MS}, greatest(0, now.wall - s.clock_at)) END
      FROM now WHERE s.id = $4 AND $2::int = 1 AND EXISTS (SELECT 1 FROM me) RETURNING s.clock)
    SELECT now.wall, coalesce((SELECT clock FROM moved), s.clock) AS clock, EXISTS (SELECT 1 FROM me) AS lives
      FROM now, services AS s WHERE s.id = $4`,
};

const MEMBERS = {
  name: 'ota_members',
  text: `SELECT id, client_id, name, subscribed, beat_at, deaf, adopter FROM members WHERE service = $1 ORDER BY id`,
};
