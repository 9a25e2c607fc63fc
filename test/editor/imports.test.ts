/** Examples that are imported beside each other, as the import dialog does it: by "Import copy" from the second on. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from '../../scripts/build/paths';
import { until } from '../support/wait';
import { useEditor } from './support/use-editor';

const CONFIG_TYPES = ['mqtt-broker', 'ota-service', 'ota-store'];

describe('examples imported beside each other', function () {
  this.timeout(240_000);
  const used = useEditor();

  const configs = (): Promise<string[]> =>
    used.editor.page.evaluate(() => {
      const found: string[] = [];
      RED.nodes.eachConfig(({ type, users }) => void found.push(`${type} ${users.length}`));
      return found.sort();
    });
  const addExample = (name: string, generateIds: boolean): Promise<void> =>
    used.editor.page.evaluate(
      ([text, copy]) =>
        RED.view.importNodes(JSON.parse(text), { generateIds: copy, addFlow: false, notify: false }),
      [fs.readFileSync(path.join(ROOT, 'examples', `${name}.json`), 'utf8'), generateIds] as const,
    );
  const ofTypes = (all: readonly string[]): string[] => all.map((one) => one.split(' ')[0] ?? '');

  it('have one broker, one service and one store, and none that nothing uses', async () => {
    await used.editor.page.evaluate(() => RED.nodes.clear());
    await addExample('whole-upgrade', false);
    for (const name of ['fleet-task', 'approval/approval', 'notify/notify']) await addExample(name, true);
    const all = await until(async () => {
      const now = await configs();
      return ofTypes(now).join() === CONFIG_TYPES.join() ? now : null;
    }, 'one of each');
    assert.ok(
      all.every((one) => !one.endsWith(' 0')),
      all.join(),
    );
  });

  it('are undone one by one', async () => {
    for (let i = 0; i < 4; i += 1) await used.editor.undo();
    assert.deepEqual(await configs(), []);
  });

  it('keep the broker, service and store that the first upgrade of the menu made', async () => {
    const { page } = used.editor;
    await page.evaluate(() => RED.nodes.clear());
    await page.locator('#red-ui-header-button-sidemenu').click();
    await page.locator('#menu-item-ota-first-upgrade').click();
    await page.locator('#ota-start-add').click();
    await page.locator('.red-ui-tab-label', { hasText: 'Device' }).first().waitFor();
    await addExample('fleet-task', true);
    assert.deepEqual(ofTypes(await configs()), CONFIG_TYPES);
  });

  it('leave stores as they are that came with one import, or that a person made', async () => {
    const { page } = used.editor;
    await page.evaluate(() => RED.nodes.clear());
    const place = { z: 'tab', x: 100, y: 100, wires: [] };
    const task = (n: number): object => ({ ...place, id: `task${n}`, type: 'ota-task', store: `store${n}` });
    const stores = [1, 2].map((n) => ({ id: `store${n}`, type: 'ota-store', file: 'one.db' }));
    const add = (flow: object[], generateIds: boolean): Promise<void> =>
      page.evaluate(
        ([all, copy]) => RED.view.importNodes(all, { generateIds: copy, addFlow: false, notify: false }),
        [flow, generateIds] as const,
      );
    await add([{ id: 'tab', type: 'tab' }, ...stores, task(1), task(2)], false);
    await add([task(2)], true);
    await until(
      async () => (await configs()).join() === 'ota-store 1,ota-store 2',
      'each task, and the copy of the second, on its own store',
    );
  });
});
