/**
 * One instance of several: a channel in a shared group, a store in PostgreSQL and the engine on them, as ota-task has
 * them, without Node-RED. Prints "running"; then takes commands as lines of JSON, and answers each with a line.
 */
import readline from 'node:readline';
import { Channel } from '../../../nodes/lib/link';
import { createScheme, toOtaError } from '../../../nodes/lib/protocol';
import { TaskHost } from '../../../nodes/lib/platform';
import { readCommand } from '../../../nodes/lib/tasks/commands';
import { DEFAULT_POLICY } from '../../../nodes/lib/tasks/policy';
import { PostgresStore } from '../../../nodes/lib/tasks/database';

const [broker = '', url = '', version = '5'] = process.argv.slice(2);

function tell(kind: string, value: unknown): void {
  process.stdout.write(`${kind} ${JSON.stringify(value)}\n`);
}

const fault = (error: unknown): void => tell('fault', { code: toOtaError(error).code, text: String(error) });

function main(): void {
  const channel = new Channel({
    url: broker,
    mqtt: { protocolVersion: version === '4' ? 4 : 5 },
    clientId: 'platform',
    persistent: true,
    window: 200,
    scheme: createScheme('thingspanel'),
    shareGroup: 'ota',
    onState: ({ phase, error }) => tell('link', { phase, code: error?.code ?? null }),
    onSubscription: (_filter, error) => error !== null && fault(error),
    onFault: fault,
  });
  const store = new PostgresStore({ url, schema: 'ota', poolSize: 4 });
  const host = new TaskHost({ store, service: 'fleet', channel, startPaused: false });
  host.join({
    onChange: ({ before, after }) => {
      if (before.status !== after.status) tell('change', [after.accessToken, after.status]);
    },
    onTask: () => undefined,
    onTasks: (tasks) =>
      tell(
        'tasks',
        tasks.map(({ taskId, status, counts }) => ({ taskId, status, counts })),
      ),
    onProblem: (error) => tell('problem', error === null ? null : { code: error.code, text: error.message }),
    onDeaf: (error) => tell('deaf', error === null ? null : { code: error.code, text: error.message }),
    onFault: fault,
    onSubscription: (error) => {
      if (error === null) tell('granted', null);
      else fault(error);
    },
    onRefused: ({ error }) => fault(error),
    onFirstReport: () => undefined,
  });
  readline.createInterface(process.stdin).on('line', (line) => {
    const { n, ...payload } = JSON.parse(line) as { n: number };
    const answered = (answer: unknown): void => tell('answer', { n, answer });
    Promise.resolve()
      .then(() => host.command(readCommand(payload, DEFAULT_POLICY)))
      .then(answered, (error: unknown) => answered({ code: toOtaError(error).code }));
  });
  process.stdout.write('running\n');
}

main();
