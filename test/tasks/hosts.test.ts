/** What a store tells of fleets that no node uses. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { serviceByWires, TaskHosts } from '../../nodes/lib/platform';
import { SqliteStore } from '../../nodes/lib/tasks/database';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';
import { Calls } from './database/calls';

describe('the fleets of a store that no node uses', () => {
  const later = cleanup();

  it('are told by the name that their owner has in the editor, a service or an ota-task by wires', async () => {
    const file = path.join(later(await temporaryFolder()).path, 'tasks.db');
    const store = new SqliteStore({ file });
    later({ stop: () => store.close() });
    store.open();
    for (const service of ['hall', serviceByWires('meters')])
      await new Calls(store.tasks(service)).make(['a']);
    const unused = await new TaskHosts({ id: 'store' }, store, { file }).unused();
    assert.deepEqual(unused, [
      { fleet: 'hall', isByWires: false, tasks: 1 },
      { fleet: 'meters', isByWires: true, tasks: 1 },
    ]);
  });
});
