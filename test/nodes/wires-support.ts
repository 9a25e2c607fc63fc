/** ota-task by wires in a flow, with devices that answer: what the tests of rollouts by messages share. */
import assert from 'node:assert/strict';
import type { NodeInitializer } from 'node-red';
import type { ChangeShape, DeviceShape, TaskDetails, TaskShape } from '../../nodes/lib/tasks/shapes';
import { catchNode, helperNode, tabNode } from '../support/flow';
import { loadFlow, type LoadedFlow } from '../support/helper';
import { temporaryFolder, type TemporaryFolder } from '../support/temporary-folder';
import { requireNodeRed } from '../support/runtime';
import { type Collected, until } from '../support/wait';
import { allNodes, asOut, type Out } from './support';

/* eslint-disable @typescript-eslint/no-require-imports -- a node's module is what Node-RED requires */
export const taskNodes: readonly NodeInitializer[] = [
  ...allNodes,
  requireNodeRed('@node-red/nodes/core/common/24-complete.js') as NodeInitializer,
  require('../../nodes/ota-store/ota-store') as NodeInitializer,
  require('../../nodes/ota-task/ota-task') as NodeInitializer,
];
/* eslint-enable */

export const PACKAGE = {
  version: 'v2',
  url: 'http://127.0.0.1/v2.bin',
  size: 4,
  sign: '0'.repeat(32),
} as const;

export interface LogEvent {
  readonly event: string;
  readonly by: string | null;
  readonly remark: string | null;
  readonly reason: string | null;
  readonly wave: number | null;
}

/** A fleet by wires: `n1` is its ota-task. */
export class WiresFleet {
  /** What left by outputs 1 to 4 from the start on. */
  readonly #outputs: readonly Collected<unknown>[];
  readonly #caught: Collected<unknown>;
  readonly #completed: Collected<unknown>;
  readonly #folder: TemporaryFolder;
  readonly #settings: object;
  #asked = 0;
  #looked = 0;

  private constructor(
    readonly flow: LoadedFlow,
    folder: TemporaryFolder,
    settings: object,
  ) {
    this.#folder = folder;
    this.#settings = settings;
    this.#outputs = ['out0', 'out1', 'out2', 'out3'].map((id) => flow.messages(id));
    this.#caught = flow.messages('caught');
    this.#completed = flow.messages('completed');
  }

  static async start(settings: object = {}): Promise<WiresFleet> {
    return WiresFleet.#load(await temporaryFolder('ota-wires-'), settings);
  }

  static async #load(folder: TemporaryFolder, settings: object): Promise<WiresFleet> {
    const wires = [['out0'], ['out1'], ['out2'], ['out3']];
    const task = { id: 'n1', type: 'ota-task', z: 'tab', x: 1, y: 1, store: 'store', perMinute: '0', wires };
    const flow = await loadFlow(
      taskNodes,
      [
        tabNode(),
        { id: 'store', type: 'ota-store' },
        { ...task, transport: 'wires', fleet: 'lamps', ...settings },
        ...['out0', 'out1', 'out2', 'out3', 'caught', 'completed'].map((id) => helperNode(id)),
        catchNode('catch', 'caught'),
        { id: 'complete', type: 'complete', z: 'tab', x: 1, y: 1, scope: ['n1'], wires: [['completed']] },
      ],
      {},
      { userDir: folder.path },
    );
    return new WiresFleet(flow, folder, settings);
  }

  get userDir(): string {
    return this.#folder.path;
  }

  /** Starts it once more, on the same store: the one that is to be stopped from then on. */
  async again(settings: object = {}): Promise<WiresFleet> {
    await this.flow.stop();
    const anew = await WiresFleet.#load(this.#folder, { ...this.#settings, ...settings });
    this.stop = () => anew.stop();
    return anew;
  }

  stop = async (): Promise<void> => {
    await this.flow.stop();
    await this.#folder.stop();
  };

  /** Sends a message and resolves with what it ended in: its answer, its error, or that it is done. */
  async #send(payload: unknown): Promise<{ answer: Out | null; error: Out['error'] | null }> {
    this.#asked += 1;
    const mine = this.#asked;
    const of = (list: Collected<unknown> | undefined): Out | undefined =>
      list?.items.map(asOut).find((out) => out['mine'] === mine);
    this.flow.send('n1', { payload, mine });
    await until(() => of(this.#caught) ?? of(this.#completed), `the end of ${JSON.stringify(payload)}`);
    return { answer: of(this.#outputs[0]) ?? null, error: of(this.#caught)?.error ?? null };
  }

  /** Sends a command and gives its answer. */
  async ask<T extends object = TaskShape>(payload: object): Promise<T> {
    const { answer, error } = await this.#send(payload);
    assert.ok(answer !== null, `${JSON.stringify(payload)} ended in ${error?.message ?? 'nothing'}`);
    return answer.payload as unknown as T;
  }

  /** Sends a report and waits until it is done; it must leave nothing on output 1. */
  async tell(payload: object): Promise<void> {
    const { answer, error } = await this.#send(payload);
    assert.deepEqual([answer, error], [null, null]);
  }

  /** Sends what must be refused; gives code and text of the error. */
  async refused(payload: object): Promise<{ readonly code: string; readonly message: string }> {
    const { answer, error } = await this.#send(payload);
    assert.equal(answer, null);
    return { code: error?.code ?? '', message: error?.message ?? '' };
  }

  version(accessToken: string, version: string, more: object = {}): Promise<void> {
    return this.tell({ action: 'version', accessToken, version, ...more });
  }

  progress(accessToken: string, step: number, more: object = {}): Promise<void> {
    return this.tell({ action: 'progress', accessToken, step, ...more });
  }

  create(targets: unknown, policy: object = {}, more: object = {}): Promise<TaskShape> {
    return this.ask({ action: 'create', package: PACKAGE, targets, policy, ...more });
  }

  of<T extends object = TaskShape>(task: TaskShape, action: string, more: object = {}): Promise<T> {
    return this.ask<T>({ action, taskId: task.taskId, ...more });
  }

  /** Has a task end two seconds from now, and gives when; a moment that has passed until it is read is refused. */
  endsSoon(task: TaskShape): Promise<string> {
    return until(async () => {
      const endAt = new Date(Date.now() + 2000).toISOString();
      const { answer } = await this.#send({ action: 'update', taskId: task.taskId, endAt });
      return answer === null ? null : endAt;
    }, 'an end that is taken');
  }

  get(task: TaskShape): Promise<TaskDetails> {
    return this.of<TaskDetails>(task, 'get');
  }

  async devices(task: TaskShape, more: object = {}): Promise<DeviceShape[]> {
    return (await this.of<{ devices: DeviceShape[] }>(task, 'devices', more)).devices;
  }

  async log(task: TaskShape): Promise<LogEvent[]> {
    return (await this.of<{ events: LogEvent[] }>(task, 'log')).events;
  }

  /** The next pushes since the last look, as soon as there are so many. */
  async pushes(count: number): Promise<Readonly<Record<string, unknown>>[]> {
    const all = await this.#outputs[3]?.atLeast(this.#looked + count);
    const found = (all ?? []).slice(this.#looked).map((out) => asOut(out).payload);
    this.#looked += found.length;
    return found;
  }

  /** The same, by their tokens in order. */
  async pushed(count: number): Promise<unknown[]> {
    return (await this.pushes(count)).map(({ accessToken }) => accessToken).sort();
  }

  /** Pushes that nobody has looked at: none, once a command was answered that would have caused them. */
  get unseen(): number {
    return (this.#outputs[3]?.items.length ?? 0) - this.#looked;
  }

  /** Waits until a task is so, and gives it. */
  reaches(task: TaskShape, condition: (now: TaskDetails) => boolean, what: string): Promise<TaskDetails> {
    return until(async () => {
      const now = await this.get(task);
      return condition(now) ? now : null;
    }, what);
  }

  /** What output 2 has told of a device, oldest first. */
  changes(accessToken: string): ChangeShape[] {
    return (this.#outputs[1]?.items ?? [])
      .map((out) => asOut(out).payload as unknown as ChangeShape)
      .filter((change) => change.accessToken === accessToken);
  }

  /** What output 3 has told of a task. */
  told(task: TaskShape): TaskShape[] {
    return (this.#outputs[2]?.items ?? [])
      .map((out) => asOut(out).payload as unknown as TaskShape)
      .filter(({ taskId }) => taskId === task.taskId);
  }
}
