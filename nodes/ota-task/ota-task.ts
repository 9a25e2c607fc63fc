/** ota-task: upgrades a fleet. Commands come in; answers, changes of devices and changes of tasks go out. */
import type { Node, NodeAPI, NodeDef } from 'node-red';
import { checkUpgrade, OtaError, type UpgradeOut } from '../lib/protocol';
import { derive, type Message, onClose, onInput } from '../lib/red/input';
import { LimitedErrors } from '../lib/red/limited-errors';
import { failureIn, ServiceUse } from '../lib/red/service';
import { settingsOf, settingsReader } from '../lib/red/settings';
import { refuseAll, setup } from '../lib/red/setup';
import { Status } from '../lib/red/status';
import type { OtaStoreNode } from '../lib/red/store';
import { reportRefused } from '../lib/red/wire-errors';
import { TASK } from '../lib/rules';
import { readCommand } from '../lib/tasks/commands';
import { serviceByWires, type TaskHost, type TaskListener, type WiresChannel } from '../lib/platform';
import { DEFAULT_POLICY, POLICY_FIELDS, readPolicy } from '../lib/tasks/policy';
import { changeShape, taskShape } from '../lib/tasks/shapes';
import type { Policy } from '../lib/tasks/types';
import { TaskStatus } from './task-status';
import { sendPushes, takeReport, wiresChannel } from './wires';

type Config = NodeDef & {
  readonly service?: unknown;
  readonly store?: unknown;
  readonly transport?: unknown;
  readonly fleet?: unknown;
  readonly labelsFrom?: unknown;
  readonly startPaused?: unknown;
} & {
  readonly [K in keyof Policy]?: unknown;
};

module.exports = (RED: NodeAPI): void => {
  function OtaTask(this: Node, saved: Config): void {
    RED.nodes.createNode(this, saved);
    const status = new Status(this);
    setup(this, status, () => {
      const config = settingsOf(RED, this, saved);
      const read = settingsReader(TASK, config);
      const startPaused = read('startPaused') || isOn(process.env['OTA_START_PAUSED']);
      const policy = policySettings(config);
      const labelsFrom = read('labelsFrom');
      const fleet = read('fleet') || this.id;
      const defaultsOf = (scheme: Policy['success']): Policy => ({
        ...policy,
        success: read('success') || scheme,
      });
      const store = storeOf(RED, this, config.store);
      if (store instanceof OtaError) {
        refuseAll(this, status, store);
        status.failure('ota-task.status.noStore');
        onClose(this, () => status.close());
        return;
      }
      if (read('transport') === 'wires') {
        const wires = wiresChannel(store.id, fleet);
        const host = store.host({ service: serviceByWires(fleet), channel: wires, startPaused });
        const defaults = defaultsOf(DEFAULT_POLICY.success);
        run(this, { host, status, defaults, labelsFrom, service: null, wires });
        return;
      }
      const service = new ServiceUse(RED, this, config.service, status);
      if (service.problem !== null) {
        onInput(this, () => void service.channel());
        onClose(this, (removed) => {
          service.close(removed);
          status.close();
        });
        return;
      }
      const channel = service.channel();
      const host = store.host({ service: service.fleet, channel, startPaused });
      const defaults = defaultsOf(channel.scheme.success);
      run(this, { host, service, status, defaults, labelsFrom, wires: null });
      service.start();
    });
  }

  RED.nodes.registerType('ota-task', OtaTask as never);
};

/** For a start after a restore, without an editor. */
function isOn(variable: string | undefined): boolean {
  return variable === 'true' || variable === '1';
}

interface Parts {
  readonly host: TaskHost;
  /** null: by wires. */
  readonly service: ServiceUse | null;
  readonly wires: WiresChannel | null;
  readonly status: Status;
  readonly defaults: Policy;
  readonly labelsFrom: readonly string[];
}

function run(node: Node, { host, service, wires, status, defaults, labelsFrom }: Parts): void {
  const errors = new LimitedErrors(node);
  const shown = new TaskStatus(status, service);
  const scheme = service?.channel().scheme ?? null;
  const check = (upgrade: unknown): UpgradeOut =>
    scheme?.check(upgrade) ?? checkUpgrade(upgrade, false, BY_WIRES);
  const stopPushes = wires === null ? null : sendPushes(node, wires);
  const listener: TaskListener = {
    labelsFrom,
    onChange(change) {
      if (!isWired(node, CHANGES)) return;
      const payload = changeShape(change);
      const { accessToken } = payload;
      const topic = scheme === null ? accessToken : scheme.topicIfAny('upgrade', accessToken);
      node.send([null, { topic, accessToken, payload } as Partial<Message>, null]);
    },
    onTask(task, trouble) {
      const shape = taskShape(task, host.moment());
      const payload = trouble === null || shape.status !== 'running' ? shape : { ...shape, reason: trouble };
      node.send([null, null, { topic: shape.taskId, payload } as Partial<Message>]);
    },
    onTasks: (tasks) => shown.tasks(tasks),
    onProblem(error) {
      if (error !== null) node.error(error, {} as never);
      if (error?.code !== 'OTA_STORE_FULL') shown.problem(error);
    },
    onDeaf(error) {
      if (error !== null) node.error(error, {} as never);
      shown.deaf(error);
    },
    onFault: (error) => node.error(error, {} as never),
    onSubscription: (error) => shown.subscription(error),
    onRefused: (refused) => reportRefused(errors, refused, status),
    onFirstReport: () => shown.firstReport(),
  };
  host.join(listener);
  onInput(
    node,
    async (msg, send) => {
      if (wires !== null && (await takeReport(host, wires, msg.payload))) return;
      const answer = await host.command(readCommand(msg.payload, defaults, check));
      send([derive(msg, { payload: answer }), null, null]);
      shown.answered();
    },
    failureIn(status),
  );
  onClose(node, async (removed) => {
    try {
      await host.leave(listener, removed);
    } finally {
      stopPushes?.();
      service?.close(removed);
      errors.close();
      status.close();
    }
  });
}

/** What a flow makes of a url, and how long one may be there, is the flow's. */
const MAX_URL_BY_WIRES = 2048;
const BY_WIRES = { maxUrlLength: MAX_URL_BY_WIRES, sizeNeeded: true };

/** The output for changes of devices: there may be a hundred thousand of them, and nobody who listens. */
const CHANGES = 1;

function isWired(node: Node, output: number): boolean {
  const { wires } = node as { wires?: unknown[][] };
  return wires?.[output] === undefined || wires[output].length > 0;
}

/** The default of every task: one setting for each field of a policy. @throws OtaError OTA_BAD_SETTINGS */
function policySettings(config: Config): Policy {
  const given = Object.fromEntries(POLICY_FIELDS.map((name) => [name, config[name]]));
  try {
    return readPolicy(given, undefined, '');
  } catch (error) {
    if (!(error instanceof OtaError)) throw error;
    throw new OtaError('OTA_BAD_SETTINGS', `The setting ${error.message}`, { cause: error });
  }
}

/** The store, or what is wrong with it. */
function storeOf(RED: NodeAPI, node: Node, id: unknown): OtaStoreNode | OtaError {
  const store = (typeof id === 'string' && id !== '' ? RED.nodes.getNode(id) : null) as OtaStoreNode | null;
  if (store === null) {
    return new OtaError('OTA_NO_STORE', 'No OTA store is chosen, or it is disabled: choose one in the node.');
  }
  if (store.problem !== null) return store.problem;
  store.users[node.id] = node;
  return store;
}
