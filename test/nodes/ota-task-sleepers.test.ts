/** Devices that sleep, on a real broker: with MQTT 5, which tells who is there, and with 3.1.1, which doesn't. */
import assert from 'node:assert/strict';
import type { TaskShape } from '../../nodes/lib/tasks/shapes';
import { cleanup } from '../support/cleanup';
import { connectClient, type Received, type TestClient } from '../support/client';
import { brokerNode, helperNode, tabNode, taskNode } from '../support/flow';
import { loadFlow, type LoadedFlow } from '../support/helper';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { ask, asOut } from './support';
import { taskNodes } from './wires-support';

const TOPIC = '/ota/device';
const PACKAGE = { version: 'v2', url: 'http://192.0.2.1/v2', size: 4, sign: '0'.repeat(32) };

const idOf = ({ text }: Received): string => (JSON.parse(text) as { id: string }).id;

for (const protocolVersion of [5, 4] as const) {
  describe(`devices that sleep (MQTT ${protocolVersion === 5 ? '5' : '3.1.1'})`, () => {
    const later = cleanup();
    let broker: Mosquitto;
    let flow: LoadedFlow;

    before(function () {
      mosquittoMissing(this);
    });
    beforeEach(async () => {
      broker = later(await startMosquitto());
      const { path: userDir } = later(await temporaryFolder('ota-sleepers-'));
      flow = later(
        await loadFlow(
          taskNodes,
          [
            tabNode(),
            brokerNode('broker', broker.port, {
              protocolVersion: String(protocolVersion),
              clientid: 'platform',
            }),
            { id: 'service', type: 'ota-service', broker: 'broker' },
            { id: 'store', type: 'ota-store' },
            taskNode('n1', { wires: [['out'], ['changes'], ['tasks']] }),
            ...['out', 'changes', 'tasks'].map((id) => helperNode(id)),
          ],
          {},
          { userDir },
        ),
      );
      await flow.status('n1', 'common.status.noReport');
    });

    const command = async <T = TaskShape>(payload: object): Promise<T> =>
      (await ask(flow, ['out'], payload)).payload as T;
    const create = (policy: object): Promise<TaskShape> =>
      command({ action: 'create', package: PACKAGE, targets: ['d1'], policy: { perMinute: 0, ...policy } });
    const row = async (taskId: string): Promise<{ status: string; hold: string | null; reason: string }> => {
      const { devices } = await command<{ devices: { status: string; hold: string; reason: string }[] }>({
        action: 'devices',
        taskId,
      });
      assert.ok(devices[0]);
      return devices[0];
    };
    const report = (client: TestClient, version: string): Promise<void> =>
      client.publish(`${TOPIC}/inform/d1`, { id: '1', params: { version, module: 'default' } });

    it('are waited for, and pushed to with the same id when they wake and subscribe a moment later', async () => {
      // With 3.1.1 nobody can tell that it sleeps: it hears the first push, and falls asleep over it.
      const first = later(await connectClient(broker.url, { protocolVersion }));
      if (protocolVersion === 4) await first.subscribe(`${TOPIC}/upgrade/d1`);
      const { taskId } = await create({ offline: 'wait', noResponse: 1, repush: 0 });
      const reason = protocolVersion === 5 ? 'offline' : 'no-response';
      await until(async () => {
        const { status, hold, reason: why } = await row(taskId);
        return status === 'pending' && hold === 'wait' && why === reason;
      }, `it to wait: ${reason}`);
      await first.stop();

      const awake = later(await connectClient(broker.url, { protocolVersion }));
      await report(awake, 'v1');
      // The report is handled before it subscribes.
      await until(async () => (await row(taskId)).hold !== 'wait', 'the sign of life');
      await awake.subscribe(`${TOPIC}/upgrade/d1`);
      if (protocolVersion === 4) await report(awake, 'v1');
      await awake.atLeast(1);
      const ids = [...first.messages, ...awake.messages].map(idOf);
      assert.equal(new Set(ids).size, 1, 'one attempt has one id');
      await report(awake, 'v2');
      await until(async () => (await command({ action: 'get', taskId })).counts.succeeded === 1, 'success');
    });

    it('are told from devices that are always on, whose broker restarts while they are pushed to', async () => {
      const tokens = Array.from({ length: 20 }, (_, i) => `on-${i}`);
      for (const token of tokens) {
        // It comes back after the platform, and subscribes anew.
        const device = later(
          await connectClient(broker.url, { protocolVersion, reconnectPeriod: 3000, resubscribe: true }),
        );
        device.client.on('message', () => {
          void device.publish(`${TOPIC}/progress/${token}`, { step: '100', module: 'default' });
        });
        await device.subscribe(`${TOPIC}/upgrade/${token}`);
      }
      const policy = { offline: 'fail', perMinute: 240, noResponse: 30, repush: 3 };
      const task = await command({ action: 'create', package: PACKAGE, targets: tokens, policy });
      const counts = async (): Promise<TaskShape['counts']> =>
        (await command({ action: 'get', taskId: task.taskId })).counts;
      await until(async () => (await counts()).succeeded > 2, 'the first pushes');
      await broker.restart();
      await until(async () => (await counts()).succeeded === tokens.length, 'all of them');
    });

    if (protocolVersion === 5) {
      it('are not given the push of a cancelled task that waited in their session', async () => {
        const asleep = { protocolVersion, clean: false, clientId: 'd1' } as const;
        const session = { ...asleep, properties: { sessionExpiryInterval: 600 } };
        const before = await connectClient(broker.url, session);
        await before.subscribe(`${TOPIC}/upgrade/d1`);
        await before.stop();
        const changes = flow.messages('changes');
        const { taskId } = await create({ offline: 'fail', noResponse: 5, repush: 0 });
        await until(
          () => changes.items.some((change) => asOut(change).payload['status'] === 'pushed'),
          'the push into its session',
        );
        await command({ action: 'cancel', taskId });
        // Its time to answer is over on the broker, too: what is published now is all that it gets.
        const other = later(await connectClient(broker.url, { protocolVersion }));
        await other.subscribe(`${TOPIC}/upgrade/d2`);
        const policy = { perMinute: 0, noResponse: 8, repush: 0 };
        const watched = await command({ action: 'create', package: PACKAGE, targets: ['d2'], policy });
        await until(async () => (await row(watched.taskId)).status === 'failed', 'the end of that time');
        await other.publish(`${TOPIC}/upgrade/d1`, { id: 'last', params: {} });
        const again = later(await connectClient(broker.url, session));
        await again.atLeast(1);
        assert.deepEqual(again.messages.map(idOf), ['last']);
      });
    }
  });
}
