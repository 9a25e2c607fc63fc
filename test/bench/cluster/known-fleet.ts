/** Fills a schema with devices that have reported, with labels: by SQL, because a million reports would take minutes. */
import type { PostgresServer } from '../../support/postgres';
import { REGIONS } from '../tasks/known-fleet';

/** Every seventh device runs each version. */
const VERSIONS = 7;

/** @param token `format` of the number of a device, with eight digits */
export function fillFleet(server: PostgresServer, service: string, token: string, rows: number): void {
  const named = `replace('${token}', '%', lpad(n::text, 8, '0'))`;
  const own = `(SELECT id FROM services WHERE key = '${service}')`;
  const scope = `(SELECT id FROM scopes WHERE service = ${own} AND module = 'default')`;
  const numbers = `generate_series(0, ${rows - 1}) AS n`;
  server.psql(`SET search_path TO ota;
    INSERT INTO services (key) VALUES ('${service}') ON CONFLICT DO NOTHING;
    INSERT INTO scopes (service, module) VALUES (${own}, 'default') ON CONFLICT DO NOTHING;
    INSERT INTO devices (scope, token, version, at)
      SELECT ${scope}, ${named}, 'v' || n % ${VERSIONS}, ${Date.now()} FROM ${numbers};
    INSERT INTO version_counts SELECT scope, version, 0, count(*) FROM devices
      WHERE scope = ${scope} GROUP BY scope, version;
    INSERT INTO tokens (service, token, device)
      SELECT ${own}, ${named}, json_build_object('region', 'r' || n % ${REGIONS}) FROM ${numbers};
    INSERT INTO label_values (service, name, value, token)
      SELECT ${own}, 'region', 'r' || n % ${REGIONS}, ${named} FROM ${numbers};`);
  // What autovacuum does to a fleet that stands.
  server.psql('VACUUM ANALYZE');
}
