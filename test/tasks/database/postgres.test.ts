import { PostgresStore } from '../../../nodes/lib/tasks/database';
import { cleanup } from '../../support/cleanup';
import { type PostgresServer, requirePostgres, startPostgresServer } from '../../support/postgres';
import { exercise } from './exercise';

describe('PostgreSQL', function () {
  this.timeout(240_000);
  const later = cleanup(after);
  let server: PostgresServer;
  let schemas = 0;

  before(async function () {
    requirePostgres(this);
    server = later(await startPostgresServer());
  });

  exercise('PostgreSQL', {
    begin: () => {
      schemas += 1;
    },
    async open({ maxDevices }) {
      const store = new PostgresStore({
        url: server.url(),
        schema: `s${schemas}`,
        poolSize: 4,
        time: 'caller',
        ...(maxDevices === undefined ? {} : { maxDevices }),
      });
      await store.open();
      return store;
    },
    end: () => {
      server.psql(`DROP SCHEMA IF EXISTS s${schemas} CASCADE`);
    },
  });
});
