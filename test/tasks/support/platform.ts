/**
 * A process that is killed: a channel, a store and the engine on them, as ota-task has them, without Node-RED.
 * Makes its one task where there is none, prints "running", and goes on until it is killed.
 */
import { Channel } from '../../../nodes/lib/link';
import { createScheme } from '../../../nodes/lib/protocol';
import { TaskHost } from '../../../nodes/lib/platform';
import { readCommand } from '../../../nodes/lib/tasks/commands';
import { DEFAULT_POLICY } from '../../../nodes/lib/tasks/policy';
import { SqliteStore } from '../../../nodes/lib/tasks/database';

const [url = '', file = '', create = '{}'] = process.argv.slice(2);
const fail = (error: unknown): void => {
  process.stderr.write(`${String(error)}\n`);
};

async function main(): Promise<void> {
  const channel = new Channel({
    url,
    mqtt: { protocolVersion: 5 },
    clientId: 'platform',
    persistent: true,
    window: 200,
    scheme: createScheme('thingspanel'),
    shareGroup: '',
    onState: () => undefined,
    onSubscription: (_filter, error) => error !== null && fail(error),
    onFault: fail,
  });
  const store = new SqliteStore({ file });
  const host = new TaskHost({ store, service: 'service', channel, startPaused: false });
  host.join({
    onChange: () => undefined,
    onTask: () => undefined,
    onTasks: () => undefined,
    onProblem: (error) => error !== null && fail(error),
    onSubscription: (error) => error !== null && fail(error),
    onRefused: ({ error }) => fail(error),
    onFirstReport: () => undefined,
  });
  const ask = (payload: object): Promise<object> => host.command(readCommand(payload, DEFAULT_POLICY));
  const { total } = (await ask({ action: 'list' })) as { total: number };
  if (total === 0) await ask({ action: 'create', ...(JSON.parse(create) as object) });
  process.stdout.write('running\n');
}

main().catch(fail);
