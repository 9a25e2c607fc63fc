import assert from 'node:assert/strict';
import path from 'node:path';
import { Channel } from '../../nodes/lib/link';
import { createScheme } from '../../nodes/lib/protocol';
import { TaskHost } from '../../nodes/lib/platform';
import { readCommand } from '../../nodes/lib/tasks/commands';
import { DEFAULT_POLICY } from '../../nodes/lib/tasks/policy';
import type { DeviceShape, TaskShape } from '../../nodes/lib/tasks/shapes';
import { type Change, SqliteStore } from '../../nodes/lib/tasks/database';
import { cleanup } from '../support/cleanup';
import { mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { Fleet, type Plan } from './support/fleet';

const good = [{ step: 30 }, { step: 60 }, { step: 100 }, { version: 'v2' }];

const EACH = 12;
/** Seconds that a device has for each thing: a loaded machine needs many for one that answers at once. */
const LIMIT = 15;
/** Milliseconds after a push when it has failed already. */
const TOO_LATE = 22_000;

/** What a device does, and what must become of it: status, reason, attempts. */
const PLANS: Readonly<Record<string, { plan: Plan; end: string }>> = {
  good: { plan: { attempts: [good] }, end: 'succeeded null 1' },
  'only-100': { plan: { attempts: [[{ step: 100 }]] }, end: 'succeeded null 1' },
  'only-version': { plan: { attempts: [[{ version: 'v2' }]] }, end: 'succeeded null 1' },
  duplicates: { plan: { attempts: [good.flatMap((act) => [act, act])] }, end: 'succeeded null 1' },
  disordered: {
    plan: { attempts: [[{ step: 60 }, { step: 30 }, { step: 0 }, { step: 100 }, { step: 90 }]] },
    end: 'succeeded null 1',
  },
  slow: { plan: { attempts: [good], pause: 700 }, end: 'succeeded null 1' },
  silent: { plan: { attempts: [[]] }, end: 'failed no-response 2' },
  stalls: { plan: { attempts: [[{ step: 10 }, { step: 10 }]] }, end: 'failed stalled 2' },
  'upgrade-fails': { plan: { attempts: [[{ step: 5 }, { step: -1, desc: 'no' }]] }, end: 'failed upgrade 2' },
  'download-fails': { plan: { attempts: [[{ step: -2 }]] }, end: 'failed download 2' },
  'verification-fails': { plan: { attempts: [[{ step: 99 }, { step: -3 }]] }, end: 'failed verification 2' },
  'flashing-fails': { plan: { attempts: [[{ step: 99 }, { step: -4 }]] }, end: 'failed flashing 2' },
  'second-try': { plan: { attempts: [[{ step: -2 }], good] }, end: 'succeeded null 2' },
  'fails-then-50': { plan: { attempts: [[{ step: -1 }, { step: 50 }]] }, end: 'failed upgrade 2' },
  '100-then-fails': { plan: { attempts: [[{ step: 100 }, { step: -3 }]] }, end: 'failed verification 1' },
  'rolls-back': { plan: { attempts: [[{ step: 100 }, { version: 'v1' }]] }, end: 'failed rolled-back 1' },
  'rolls-back-later': { plan: { attempts: [[...good, { version: 'v1' }]] }, end: 'failed rolled-back 1' },
  'third-version': {
    plan: { attempts: [[{ step: 40 }, { version: 'v9' }]] },
    end: 'failed version-mismatch 1',
  },
  reboots: { plan: { attempts: [[{ step: 40 }, { version: 'v1' }], good] }, end: 'succeeded null 2' },
  'reboots-always': { plan: { attempts: [[{ step: 40 }, { version: 'v1' }]] }, end: 'failed stalled 2' },
  late: { plan: { attempts: [[], [{ wait: TOO_LATE }, { version: 'v2' }]] }, end: 'succeeded null 2' },
  'late-100': { plan: { attempts: [[], [{ wait: TOO_LATE }, { step: 100 }]] }, end: 'failed no-response 2' },
  // Its first attempt had no last word: a 100 of the second could be the first one's.
  'unsettled-100': { plan: { attempts: [[], [{ step: 100 }]] }, end: 'failed unconfirmed 2' },
  'unsettled-version': { plan: { attempts: [[], good] }, end: 'succeeded null 2' },
  offline: { plan: { attempts: [[]], offline: true }, end: 'failed offline 1' },
};

describe('a fleet of hundreds of devices that misbehave', () => {
  const later = cleanup();
  before(function () {
    mosquittoMissing(this);
  });

  it('has the end for each that the policy says', async () => {
    const folder = later(await temporaryFolder('ota-fleet-'));
    const broker = later(
      await startMosquitto({ config: ['max_queued_messages 0', 'max_inflight_messages 200'] }),
    );
    const plans = new Map<string, Plan>();
    for (let i = 0; i < EACH; i += 1) {
      for (const [name, { plan }] of Object.entries(PLANS)) plans.set(`${name}.${i}`, plan);
    }
    const store = new SqliteStore({ file: path.join(folder.path, 'tasks.db') });
    const faults: unknown[] = [];
    const channel = new Channel({
      url: broker.url,
      mqtt: { protocolVersion: 5 },
      clientId: 'platform',
      persistent: true,
      window: 200,
      scheme: createScheme('thingspanel'),
      shareGroup: '',
      onState: () => undefined,
      onSubscription: () => undefined,
      onFault: (error) => faults.push(error),
    });
    const host = new TaskHost({ store, service: 's', channel, startPaused: false });
    const changes: Change[] = [];
    later({
      async stop() {
        await host.stop(true);
        await channel.end({ endSession: true });
        store.close();
      },
    });
    host.join({
      onChange: (change) => changes.push(change),
      onTask: () => undefined,
      onTasks: () => undefined,
      onProblem: (error) => faults.push(error),
      onSubscription: (error) => error !== null && faults.push(error),
      onRefused: (refused) => faults.push(refused),
      onFirstReport: () => undefined,
    });
    const ask = (payload: object): Promise<object> => host.command(readCommand(payload, DEFAULT_POLICY));
    const fleet = later(await Fleet.start(broker.url, plans));
    await fleet.inform('v1');
    const total = plans.size;
    const pack = { version: 'v2', url: 'http://127.0.0.1/v2', size: 4, sign: '0'.repeat(32) };
    const seen = async (): Promise<number> =>
      ((await ask({ action: 'preview', package: pack, targets: 'all' })) as { total: number }).total;
    await until(async () => (await seen()) === total, 'all devices to be known');
    const policy = {
      perMinute: 0,
      noResponse: LIMIT,
      repush: 4,
      stalled: LIMIT,
      confirm: LIMIT,
      retries: 1,
      retryDelay: 0.1,
    };
    // A broker that knows who is offline ends a device at its first push: no attempt is left for those.
    const rest = [...plans.keys()].filter((token) => !token.startsWith('offline'));
    const offline = [...plans.keys()].filter((token) => token.startsWith('offline'));
    const tasks = [
      (await ask({ action: 'create', package: pack, targets: rest, policy })) as TaskShape,
      (await ask({
        action: 'create',
        package: pack,
        targets: offline,
        policy: { ...policy, retries: 0 },
      })) as TaskShape,
    ];
    for (const { taskId } of tasks) {
      await until(
        async () => ((await ask({ action: 'get', taskId })) as TaskShape).status === 'ended',
        'the end',
        180_000,
      );
    }
    await until(() => fleet.idle, 'the devices to come to rest');
    const ends = async (): Promise<Record<string, string>> => {
      const found: Record<string, string> = {};
      for (const { taskId } of tasks) {
        const { devices } = (await ask({ action: 'devices', taskId, pageSize: 1000 })) as {
          devices: DeviceShape[];
        };
        for (const { accessToken, status, reason, attempt } of devices)
          found[accessToken] = `${status} ${String(reason)} ${attempt}`;
      }
      return found;
    };
    const wanted = Object.fromEntries(
      [...plans.keys()].map((token) => [token, PLANS[token.split('.')[0] ?? '']?.end]),
    );
    await until(
      async () =>
        JSON.stringify(Object.entries(await ends()).sort()) === JSON.stringify(Object.entries(wanted).sort()),
      'the last reports',
    ).catch(() => undefined);
    assert.deepEqual(await ends(), wanted);
    assert.deepEqual(faults, []);
    for (const [token, pushes] of fleet.heard)
      assert.ok(
        pushes.every(({ retain }) => !retain),
        token,
      );
    const states = new Map<string, string>();
    for (const { before, after } of changes) {
      assert.equal(
        before.status,
        states.get(after.accessToken) ?? 'pending',
        'the changes of a device follow one another',
      );
      states.set(after.accessToken, after.status);
    }
  });
});
