/** Processes that are killed in the middle of a command on 4,000 devices, and what the next one makes of it. */
import path from 'node:path';
import { SqliteStore } from '../../nodes/lib/tasks/database';
import { startChild } from '../support/child';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { DEVICES } from './support/commanded';

const SCRIPT = path.join(__dirname, 'support', 'commanded.ts');
const create = {
  action: 'create',
  package: { version: 'v2', url: 'http://127.0.0.1/v2', size: 4, sign: '0'.repeat(32) },
  targets: 'all',
};
const cancel = { action: 'cancel' };

describe('a command on 4,000 devices whose process is killed in its middle', function () {
  this.timeout(120_000);
  const later = cleanup();

  const start = (file: string, commands: readonly object[]): ReturnType<typeof startChild> => {
    const child = startChild(process.execPath, ['--import=tsx', SCRIPT, file, JSON.stringify(commands)]);
    later({ stop: () => child.end('SIGKILL') });
    return child;
  };

  for (const [what, commands, end] of [
    ['cancel', [create, cancel], ['cancelled', { cancelled: DEVICES, pending: 0 }]],
    [
      'cancel of named devices',
      [create, { ...cancel, accessTokens: 'all' }],
      ['ended', { cancelled: DEVICES, pending: 0 }],
    ],
    ['retry', [create, cancel, { action: 'retry' }], ['running', { cancelled: 0, pending: DEVICES }]],
    [
      'retry of named devices',
      [create, cancel, { action: 'retry', accessTokens: 'all' }],
      ['running', { cancelled: 0, pending: DEVICES }],
    ],
    [
      'start',
      [
        { ...create, draft: true },
        { ...create, policy: { supersede: true }, draft: true },
        { action: 'start' },
      ],
      ['running', { cancelled: 0, pending: DEVICES }],
    ],
  ] as const) {
    it(`${what}: is finished`, async () => {
      const folder = later(await temporaryFolder('ota-broken-off-'));
      const file = path.join(folder.path, 'tasks.db');
      const first = start(file, commands);
      await until(() => !first.running, `the kill, after ${first.lines.join('; ')}`, 60_000);
      const next = start(file, []);
      const seen = (): unknown => JSON.parse(next.lines.at(-1) ?? '[]');
      const [status, counts] = end;
      await until(
        () => {
          const [task] = seen() as [string, Record<string, number>][];
          return (
            task?.[0] === status && Object.entries(counts).every(([name, count]) => task[1][name] === count)
          );
        },
        `${JSON.stringify(end)}, and not ${next.lines.at(-1)}`,
        60_000,
      );
    });
  }

  it('remove: is finished', async () => {
    const folder = later(await temporaryFolder('ota-broken-off-'));
    const file = path.join(folder.path, 'tasks.db');
    const first = start(file, [create, cancel, { action: 'remove' }]);
    await until(() => !first.running, 'the kill', 60_000);
    const next = start(file, []);
    await until(() => next.lines.at(-1) === '[]', 'no task', 60_000);
    const store = new SqliteStore({ file });
    store.open();
    later({ stop: () => Promise.resolve(store.close()) });
    await until(() => !store.tasks('service').deleteSlice(1, Infinity), 'no row of it', 60_000);
  });
});
