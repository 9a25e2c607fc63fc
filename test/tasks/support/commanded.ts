/**
 * An engine on a file that is never connected, so that nothing is pushed: carries commands out and kills itself in the
 * middle of the last of them. Arguments: the file; the commands as JSON, where "all" as `accessTokens` or `targets`
 * stands for every token.
 */
import { createScheme } from '../../../nodes/lib/protocol';
import { SqliteStore } from '../../../nodes/lib/tasks/database';
import { Engine } from '../../../nodes/lib/tasks/engine';
import { readCommand } from '../../../nodes/lib/tasks/commands';
import { DEFAULT_POLICY } from '../../../nodes/lib/tasks/policy';
import type { TaskShape } from '../../../nodes/lib/tasks/shapes';

export const DEVICES = 4000;
/** Changes of devices after which it dies. */
const MIDDLE = DEVICES / 4;

const [file = '', commands = '[]'] = process.argv.slice(2);
const tokens = Array.from({ length: DEVICES }, (_, i) => `d${i}`);
let left = Infinity;

async function main(): Promise<void> {
  const store = new SqliteStore({ file });
  store.open();
  const scheme = createScheme('thingspanel');
  const engine = new Engine({
    database: store.tasks('s'),
    link: {
      isDevice: (identity) => scheme.identity.is(identity),
      prepare: (upgrade) => scheme.prepare(upgrade),
      publish: () => undefined,
    },
  });
  engine.listen({ onChange: () => (left -= 1) <= 0 && process.kill(process.pid, 'SIGKILL') });
  await engine.start();
  const run = (payload: object): Promise<object> => engine.command(readCommand(payload, DEFAULT_POLICY));
  const asked = JSON.parse(commands, (_key, value: unknown) =>
    value === 'all' ? tokens : value,
  ) as object[];
  let taskId = '';
  for (const [i, command] of asked.entries()) {
    const isLast = i === asked.length - 1;
    if (isLast) left = MIDDLE;
    const answer = (await run({ taskId, ...command })) as Partial<TaskShape>;
    taskId = answer.taskId ?? taskId;
    // It moves nobody itself: what it left to do is under way.
    if (isLast) process.kill(process.pid, 'SIGKILL');
  }
}

if (require.main === module) void main();
