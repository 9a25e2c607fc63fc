/** ota-store with a PostgreSQL that refuses it: told on the status with what to do, tried again, cured by the cure. */
import assert from 'node:assert/strict';
import type { NodeInitializer } from 'node-red';
import { cleanup } from '../support/cleanup';
import { brokerNode, catchNode, helperNode, tabNode, taskNode } from '../support/flow';
import { loadFlow } from '../support/helper';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import type { FlowNode } from '../support/node-red';
import { freePort } from '../support/ports';
import { type PostgresServer, requirePostgres, startPostgresServer } from '../support/postgres';
import { startTcpProxy } from '../support/tcp-proxy';
import { until } from '../support/wait';
import { allNodes, asOut } from './support';

/* eslint-disable @typescript-eslint/no-require-imports -- a node's module is what Node-RED requires */
const nodes: readonly NodeInitializer[] = [
  ...allNodes,
  require('../../nodes/ota-store/ota-store') as NodeInitializer,
  require('../../nodes/ota-task/ota-task') as NodeInitializer,
];
/* eslint-enable */

const CASES = [
  {
    name: 'a wrong password',
    before: "CREATE ROLE u1 LOGIN PASSWORD 'right'; CREATE SCHEMA s1 AUTHORIZATION u1",
    login: 'u1:wrong',
    database: 'postgres',
    schema: 's1',
    says: /user and password/,
    cure: "ALTER ROLE u1 PASSWORD 'wrong'",
  },
  {
    name: 'no such database',
    before: "CREATE ROLE u2 LOGIN PASSWORD 'right'",
    login: 'u2:right',
    database: 'absent',
    schema: 's2',
    says: /CREATE DATABASE/,
    cure: 'CREATE DATABASE absent OWNER u2',
  },
  {
    name: 'no rights on the schema',
    before: "CREATE ROLE u3 LOGIN PASSWORD 'right'; CREATE SCHEMA s3",
    login: 'u3:right',
    database: 'postgres',
    schema: 's3',
    says: /owner of the schema/,
    cure: 'ALTER SCHEMA s3 OWNER TO u3',
  },
];

const FLOW = (port: number, schema: string): FlowNode[] => [
  tabNode(),
  brokerNode('broker', port, { protocolVersion: '5' }),
  { id: 'service', type: 'ota-service', broker: 'broker', shareGroup: 'ota', fleet: 'fleet' },
  { id: 'store', type: 'ota-store', driver: 'postgres', schema, poolSize: '3' },
  taskNode('n1'),
  catchNode('catch', 'caught'),
  helperNode('caught'),
];

describe('ota-store with PostgreSQL', function () {
  this.timeout(120_000);
  const untilTheEnd = cleanup(after);
  const later = cleanup();
  let broker: Mosquitto;
  let server: PostgresServer;

  before(async function () {
    mosquittoMissing(this);
    requirePostgres(this);
    broker = untilTheEnd(await startMosquitto());
    server = untilTheEnd(await startPostgresServer({ tcp: true, auth: 'scram-sha-256' }));
  });

  for (const { name, before: prepare, login, database, schema, says, cure } of CASES) {
    it(`tells of ${name}, refuses commands, tries in a calm rhythm and goes on when it is cured`, async () => {
      server.psql(prepare);
      const proxy = later(await startTcpProxy(server.port));
      const began = Date.now();
      const url = `postgresql://${login}@127.0.0.1:${proxy.port}/${database}`;
      const flow = later(await loadFlow(nodes, FLOW(broker.port, schema), { store: { url } }));
      await flow.status('n1', 'ota-task.status.storeAuth');
      const caught = flow.messages('caught');
      flow.send('n1', { payload: { action: 'list' } });
      const refused = await until(() => caught.items[0], 'the command to be refused');
      const said = asOut(refused).error?.message ?? '';
      assert.match(said, /OTA_STORE_AUTH/);
      assert.match(said, says);
      // A second try, by itself; each takes a handful of connections at most, every few seconds.
      const first = proxy.accepted;
      await until(() => proxy.accepted > first, 'another try');
      assert.equal(caught.items.length, 1, 'what is told already is not told at each try');
      const seconds = (Date.now() - began) / 1000;
      assert.ok(proxy.accepted <= 4 * (1 + seconds / 5) + 4, `${proxy.accepted} connections in ${seconds} s`);
      server.psql(cure);
      await flow.status('n1', 'common.status.noReport');
    });
  }

  it('tells of a server without TLS where the address demands it, and of one that is away, with what to check', async () => {
    const to = (port: number, query: string): string =>
      `postgresql://postgres@127.0.0.1:${port}/postgres${query}`;
    const cases = [
      [to(server.port, '?sslmode=verify-full'), 'ota-task.status.storeTls', /OTA_STORE_TLS.*sslmode/],
      [
        to(server.port, '?sslmode=verify-full&sslrootcert=/nowhere/ca.pem'),
        'ota-task.status.storeTls',
        /OTA_STORE_TLS.*sslrootcert/,
      ],
      [to(await freePort(), ''), 'ota-task.status.storeAway', /OTA_STORE_UNREACHABLE.*host and port/],
    ] as const;
    for (const [url, status, says] of cases) {
      const flow = await loadFlow(nodes, FLOW(broker.port, 'ota'), { store: { url } });
      try {
        await flow.status('n1', status);
        const caught = flow.messages('caught');
        flow.send('n1', { payload: { action: 'list' } });
        const refused = await until(() => caught.items[0], 'the command to be refused');
        assert.match(asOut(refused).error?.message ?? '', says);
      } finally {
        await flow.stop();
      }
    }
  });
});
