/** What holds of a device in one task, whatever happens to it and in whatever order. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type Event,
  type EventName,
  limitEvent,
  type Rules,
  transition,
} from '../../nodes/lib/tasks/machine';
import { type Device, FAIL_REASONS, type Policy } from '../../nodes/lib/tasks/types';
import { device, NOW, plan, WALL } from './support';

const SECOND = 1000;
/** Time goes on by some seconds, and then something happens: an event, or what time alone makes. */
type Happening = { readonly after: number } & (
  { readonly on: EventName; readonly fields: Partial<Event> } | { readonly on: null }
);

const on = (...names: EventName[]): fc.Arbitrary<EventName> => fc.constantFrom(...names);
const after = fc.constantFrom(0, 1, 5, 11, 31, 100, 700, 4000);
const NONE = fc.constant({});
/** Which push an outcome is of: mostly the one that counts. */
const outcome = fc.record({ certain: fc.boolean(), push: fc.constantFrom(undefined, 1, 2) });

const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ after, on: fc.constant(null) }) },
  { weight: 6, arbitrary: fc.record({ after, on: on('push', 'repeat'), fields: NONE }) },
  {
    weight: 4,
    arbitrary: fc.record({
      after,
      on: on('accepted', 'offline', 'offline-after-reconnect', 'refused', 'push-timeout', 'restarted'),
      fields: outcome,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      after,
      on: on('step'),
      fields: fc.record({ step: fc.integer({ min: 0, max: 99 }) }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      after,
      on: on('progress-100', 'failure'),
      fields: fc.record({ step: fc.integer({ min: -4, max: -1 }) }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      after,
      on: on('target', 'source', 'other', 'first-version'),
      fields: fc.record({ version: fc.constant('v'), retained: fc.boolean(), wakes: fc.boolean() }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ after, on: on('alive', 'busy', 'unblocked', 'put-off'), fields: NONE }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      after,
      on: on('unfit', 'incompatible', 'superseded', 'overtaken', 'cancel', 'retry'),
      fields: fc.record({ named: fc.boolean() }),
    }),
  },
);

const policy: fc.Arbitrary<Partial<Policy>> = fc.record({
  success: fc.constantFrom('progress', 'version'),
  offline: fc.constantFrom('fail', 'wait'),
  retries: fc.nat(2),
  repush: fc.nat(3),
  retryBackoff: fc.constantFrom('fixed', 'exponential'),
  retryOn: fc.subarray([...FAIL_REASONS]),
});

interface Step {
  readonly before: Device;
  readonly after: Device;
  readonly event: Event;
}

/** Plays a history, and shows each transition. */
function play(
  of: Partial<Policy>,
  history: readonly Happening[],
  see: (step: Step, rules: Rules) => void,
): void {
  const rules = plan(1, 'v2', { policy: of });
  let current = device();
  let now = NOW;
  let ids = 0;
  for (const happened of history) {
    now += happened.after * SECOND;
    const event = eventOf(happened, current, rules, now, () => `id-${(ids += 1)}`);
    if (event === null) continue;
    const moved = transition(current, rules, event, WALL);
    if (moved === null) continue;
    see({ before: current, after: moved.after, event }, rules);
    current = moved.after;
  }
}

function eventOf(
  happened: Happening,
  current: Device,
  rules: Rules,
  now: number,
  nextId: () => string,
): Event | null {
  if (happened.on === null) return limitEvent(current, rules, now, WALL);
  const event: Event = { ...happened.fields, on: happened.on, now };
  if (happened.on === 'push') return { ...event, id: nextId() };
  if (event.push === undefined && 'certain' in event)
    return { ...event, id: current.pushId ?? '', push: current.countedPush };
  return 'certain' in event ? { ...event, id: current.pushId ?? '' } : event;
}

function holds(name: string, see: (step: Step, rules: Rules) => void): void {
  it(name, () => {
    fc.assert(
      fc.property(policy, fc.array(happening, { maxLength: 60, size: 'max' }), (of, history) => {
        play(of, history, see);
      }),
      { numRuns: 400, interruptAfterTimeLimit: 10_000 },
    );
  });
}

describe('a device in any history', () => {
  holds('leaves the cancelled state by a person only', ({ before, after: to, event }) => {
    if (before.status === 'cancelled' && to.status !== 'cancelled') assert.equal(event.on, 'retry');
  });

  holds('succeeds by a 100 or by the target version only', ({ before, after: to, event }) => {
    if (to.status !== 'succeeded' || before.status === 'succeeded') return;
    assert.ok(event.on === 'target' || event.on === 'progress-100', event.on);
    if (before.status === 'failed') assert.equal(event.on, 'target');
  });

  holds('has one id for an attempt, and another for the next', ({ before, after: to, event }) => {
    if (to.pushId !== before.pushId || to.attempt !== before.attempt) {
      assert.equal(event.on, 'push');
      assert.equal(to.attempt, before.attempt + 1);
      assert.notEqual(to.pushId, before.pushId);
    }
  });

  holds('is pushed to by its turn only', ({ before, after: to, event }) => {
    if (to.pushes > before.pushes || to.attempt > before.attempt) {
      assert.ok(event.on === 'push' || event.on === 'repeat', event.on);
    }
    if (to.status === 'pushed' && before.status !== 'pushed') assert.equal(event.on, 'push');
  });

  holds('is moved by old news to success only', ({ before, after: to, event }) => {
    if (event.retained !== true) return;
    if (to.status === 'succeeded') return;
    assert.deepEqual(
      { ...to, source: null, versionBefore: null, events: 0 },
      { ...before, source: null, versionBefore: null, events: 0 },
    );
  });

  holds('waits in the same attempt, counted from its first wait', ({ before, after: to, event }) => {
    if (to.hold === 'wait') {
      assert.equal(to.status, 'pending');
      assert.ok(to.firstWait !== null && to.nextPush !== null, 'nobody would ever look at it again');
    }
    if (before.firstWait !== null && to.firstWait !== before.firstWait) assert.equal(event.on, 'retry');
  });

  holds(
    'uses no more attempts than the policy has, and only for its reasons',
    ({ before, after: to }, { policy: of }) => {
      assert.ok(to.retries <= of.retries);
      if (to.retries <= before.retries || to.reason === 'rebooted') return;
      assert.ok(
        of.retryOn.some((reason) => reason === to.reason),
        String(to.reason),
      );
    },
  );

  holds('has a limit, a place in a queue or an end in every state', ({ after: to }, rules) => {
    const isIdle = ['failed', 'cancelled'].includes(to.status) || to.hold === 'busy';
    const isQueued = to.status === 'pending' && to.hold === null;
    const isSettled = to.status === 'succeeded';
    assert.ok(
      isIdle ||
        isQueued ||
        isSettled ||
        limitEvent(to, rules, Number.MAX_SAFE_INTEGER, WALL) !== null ||
        to.nextPush !== null,
    );
  });

  holds('keeps no push to come once it has answered or ended', ({ after: to }) => {
    if (to.status !== 'pushed' && to.hold !== 'wait') assert.equal(to.nextPush, null);
  });
});
