/** Fills a store with devices that have reported, with labels: by SQL, because a million reports would take minutes. */
import { openSqlite } from '../../../nodes/lib/tasks/database/sqlite/driver';

/** Every tenth device is in each region, every seventh runs each version. */
export const REGIONS = 10;
const VERSIONS = 7;

/**
 * @param file of a store whose schema is there
 * @param service the key of the fleet
 * @param token `printf` of SQLite, of the number of a device
 */
export function fillFleet(file: string, service: string, token: string, rows: number): void {
  const db = openSqlite(file);
  const run = (sql: string, ...values: (string | number)[]): void => void db.prepare(sql).run(...values);
  const numbers = 'WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ? - 1)';
  db.exec('PRAGMA synchronous = OFF; BEGIN');
  run('INSERT OR IGNORE INTO services (key) VALUES (?)', service);
  run(
    "INSERT OR IGNORE INTO scopes (service, module) SELECT id, 'default' FROM services WHERE key = ?",
    service,
  );
  run(
    `${numbers} INSERT INTO devices (scope, token, version, at)
      SELECT c.id, printf(?, n.i), 'v' || (n.i % ${VERSIONS}), ? FROM n, scopes AS c JOIN services AS s
      ON s.id = c.service WHERE s.key = ? AND c.module = 'default'`,
    rows,
    token,
    Date.now(),
    service,
  );
  run('INSERT INTO version_counts SELECT scope, version, count(*) FROM devices GROUP BY scope, version');
  run(
    `${numbers} INSERT INTO tokens (service, token, device)
      SELECT s.id, printf(?, n.i), json_object('region', 'r' || (n.i % ${REGIONS})) FROM n, services AS s
      WHERE s.key = ?`,
    rows,
    token,
    service,
  );
  run(`INSERT INTO label_values (service, name, value, token)
    SELECT service, 'region', json_extract(device, '$.region'), token FROM tokens`);
  db.exec('COMMIT');
  db.close();
}
