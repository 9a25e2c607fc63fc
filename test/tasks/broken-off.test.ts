/** Processes that are killed in the middle of a command on 4,000 devices, and what the next one makes of it. */
import assert from 'node:assert/strict';
import path from 'node:path';
import type { TaskShape } from '../../nodes/lib/tasks/shapes';
import { startChild } from '../support/child';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { DEVICES } from './support/commanded';
import { Platform } from './support/engine-platform';

const SCRIPT = path.join(__dirname, 'support', 'commanded.ts');
const create = {
  action: 'create',
  package: { version: 'v2', url: 'http://127.0.0.1/v2', size: 4, sign: '0'.repeat(32) },
  targets: 'all',
};
const cancel = { action: 'cancel' };

describe('a command on 4,000 devices whose process is killed in its middle', function () {
  this.timeout(240_000);
  const later = cleanup();

  /** Carries the commands out in a process that is killed meanwhile, and goes on with what it left. */
  async function afterKill(commands: readonly object[]): Promise<Platform> {
    const folder = later(await temporaryFolder('ota-broken-off-'));
    const file = path.join(folder.path, 'tasks.db');
    const child = startChild(process.execPath, ['--import=tsx', SCRIPT, file, JSON.stringify(commands)]);
    later({ stop: () => child.end('SIGKILL') });
    await until(() => !child.running, 'the kill', 120_000);
    assert.equal(child.process.signalCode, 'SIGKILL', child.lines.join('\n'));
    assert.deepEqual(
      child.lines.filter((line) => /Error|OTA_/.test(line)),
      [],
    );
    const platform = new Platform(file, DEVICES + 10);
    later({
      stop: async () => {
        await platform.engine.stop();
        platform.store.close();
      },
    });
    return platform.start();
  }

  const listed = async (platform: Platform): Promise<readonly TaskShape[]> => {
    await platform.wait(1);
    return ((await platform.run({ action: 'list' })) as { tasks: TaskShape[] }).tasks;
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
      const platform = await afterKill(commands);
      const [status, counts] = end;
      await until(
        async () => {
          const [task] = await listed(platform);
          return (
            task?.status === status &&
            task.counts.cancelled === counts.cancelled &&
            task.counts.pending === counts.pending
          );
        },
        JSON.stringify(end),
        60_000,
      );
    });
  }

  it('remove: is finished', async () => {
    const platform = await afterKill([create, cancel, { action: 'remove' }]);
    await until(async () => (await listed(platform)).length === 0, 'no task', 60_000);
    await until(
      async () => {
        await platform.wait(1);
        return !(await platform.store.tasks('s').deleteSlice(1, Infinity));
      },
      'no row of it',
      60_000,
    );
  });
});
