/**
 * What a wall clock stamped in a SQLite file, and how it is moved when the clock is set: in slices, each a transaction,
 * of one fleet's devices, their rows in tasks and the history of these. Decides nothing.
 */
import type { Awaitable, ClockJump, Stamps, StampStore } from '../database';
import type { SqlDatabase, SqlStatement } from './driver';

const SLICE = 500;

export function prepareStampStatements(db: SqlDatabase): StampStatements {
  const sql = (text: string): SqlStatement => db.prepare(text);
  const read = sql('SELECT stamped_from, stamped_to, newest FROM services WHERE id = ?');
  const save = sql('UPDATE services SET stamped_from = ?, stamped_to = ?, newest = ? WHERE id = ?');
  const devices = sql(`SELECT d.scope, d.token, d.at FROM devices AS d JOIN scopes AS c ON c.id = d.scope
    WHERE c.service = ? AND (d.scope, d.token) > (?, ?) ORDER BY d.scope, d.token LIMIT ${SLICE}`);
  const moveDevice = sql('UPDATE devices SET at = at + ? WHERE scope = ? AND token = ?');
  const tokens = sql(
    `SELECT token, seen_at FROM tokens WHERE service = ? AND token > ? ORDER BY token LIMIT ${SLICE}`,
  );
  const moveToken = sql('UPDATE tokens SET seen_at = seen_at + ? WHERE service = ? AND token = ?');
  const rows = sql(`SELECT id, at FROM task_devices WHERE id > ? ORDER BY id LIMIT ${SLICE}`);
  const moveRow = sql('UPDATE task_devices SET at = at + ? WHERE id = ? AND service = ?');
  const history =
    sql(`SELECT h.device, h.upto, h.lines FROM history AS h JOIN task_devices AS d ON d.id = h.device
    WHERE h.device > ? AND h.device <= ? AND h.at BETWEEN ? AND ? AND d.service = ?`);
  const moveHistory = sql('UPDATE history SET at = at + ?, lines = ? WHERE device = ? AND upto = ?');
  const moveTimes = ['created_at', 'started_at', 'ended_at'].map((name) =>
    sql(`UPDATE tasks SET ${name} = ${name} + ? WHERE service = ? AND ${name} BETWEEN ? AND ?`),
  );
  const moveLog = sql(`UPDATE task_log SET at = at + ? WHERE at BETWEEN ? AND ?
    AND task IN (SELECT id FROM tasks WHERE service = ?)`);

  const moveEnds = sql(`UPDATE OR REPLACE task_ends SET at = at + ? WHERE at BETWEEN ? AND ?
    AND task IN (SELECT id FROM tasks WHERE service = ?)`);

  return {
    readStamps: (service: number): Stamps | null => {
      const row = read.get(service);
      if (row === undefined || row['stamped_from'] === null) return null;
      return {
        from: Number(row['stamped_from']),
        to: Number(row['stamped_to']),
        newest: Number(row['newest']),
      };
    },
    saveStamps: (service: number, { from, to, newest }: Stamps) =>
      void save.run(Math.round(from), Math.round(to), Math.round(newest), service),
    /** One slice. @param cursor where the last one ended; null: the first @returns null after the last */
    moveStamps: (service: number, { from, to, by }: ClockJump, cursor: Cursor | null): Cursor | null => {
      const shift = Math.round(by);
      const isIn = (at: unknown): boolean => typeof at === 'number' && at >= from && at <= to;
      switch (cursor?.part) {
        case undefined: {
          for (const move of moveTimes) move.run(shift, service, from, to);
          moveLog.run(shift, from, to, service);
          moveEnds.run(shift, from, to, service);
          return { part: 'devices', scope: 0, token: '' };
        }
        case 'devices': {
          const found = devices.all(service, cursor.scope, cursor.token);
          for (const { scope, token, at } of found) {
            if (isIn(at)) moveDevice.run(shift, scope ?? 0, token ?? '');
          }
          const last = found.at(-1);
          if (last === undefined) return { part: 'tokens', token: '' };
          return { part: 'devices', scope: Number(last['scope']), token: String(last['token']) };
        }
        case 'tokens': {
          const found = tokens.all(service, cursor.token);
          for (const row of found)
            if (isIn(row['seen_at'])) moveToken.run(shift, service, row['token'] ?? '');
          const last = found.at(-1);
          return last === undefined
            ? { part: 'rows', id: 0 }
            : { part: 'tokens', token: String(last['token']) };
        }
        case 'rows': {
          const found = rows.all(cursor.id);
          const last = Number(found.at(-1)?.['id'] ?? 0);
          for (const row of found) if (isIn(row['at'])) moveRow.run(shift, row['id'] ?? 0, service);
          for (const row of history.all(cursor.id, last, from, to, service)) {
            moveHistory.run(
              shift,
              movedLines(String(row['lines']), isIn, shift),
              row['device'] ?? 0,
              row['upto'] ?? 0,
            );
          }
          return found.length === 0 ? null : { part: 'rows', id: last };
        }
      }
    },
  };
}

type Cursor =
  | { readonly part: 'devices'; readonly scope: number; readonly token: string }
  | { readonly part: 'tokens'; readonly token: string }
  | { readonly part: 'rows'; readonly id: number };

/** The first of a line is its time, see `toLine`. */
function movedLines(lines: string, isIn: (at: unknown) => boolean, by: number): string {
  const read = JSON.parse(lines) as unknown[][];
  return JSON.stringify(read.map(([at, ...rest]) => [isIn(at) ? Number(at) + by : at, ...rest]));
}

type Write = <T>(work: () => T) => Awaitable<T>;
interface StampStatements {
  readonly readStamps: (service: number) => Stamps | null;
  readonly saveStamps: (service: number, stamps: Stamps) => void;
  readonly moveStamps: (service: number, jump: ClockJump, cursor: Cursor | null) => Cursor | null;
}

export class SqliteStamps implements StampStore {
  constructor(
    private readonly write: Write,
    private readonly sql: () => StampStatements,
    private readonly service: () => number,
    /** Called where rows were moved: what is kept of them is old. */
    private readonly moved: () => void,
  ) {}

  read(): Awaitable<Stamps | null> {
    return this.write(() => this.sql().readStamps(this.service()));
  }

  save(stamps: Stamps): Awaitable<void> {
    return this.write(() => {
      this.sql().saveStamps(this.service(), stamps);
    });
  }

  move(jump: ClockJump, after: string | null): Awaitable<string | null> {
    return this.write(() => {
      const cursor = after === null ? null : (JSON.parse(after) as Cursor);
      const next = this.sql().moveStamps(this.service(), jump, cursor);
      this.moved();
      return next === null ? null : JSON.stringify(next);
    });
  }
}
