/** Moves by what became of a push, as the broker or the wires tell it. */
import { RETURN, SECOND } from './limits';
import { because, type Case, failing, type Move, wait } from './move';

/** A device subscribes a moment after it reported: within this time "no subscriber" is asked again. */
export const FRESH_LIFE = 10 * SECOND;
/** After these times it is asked again before it counts. */
const ASK_AGAIN = [SECOND, 2 * SECOND, 4 * SECOND] as const;

const isOfThisAttempt = ({ device, event }: Case): boolean => device.pushId === event.id;
/** The push was the one by which it is judged: neither a repeat, unless who tells it knows, nor an earlier attempt's. */
const counts = (c: Case): boolean =>
  isOfThisAttempt(c) && (c.event.push === c.device.countedPush || c.event.certain === true);

const askAgainAfter = ({ device, event }: Case): number | null => {
  if (event.certain === true || device.lifeAt === null) return null;
  if (device.asked === 0 && event.now - device.lifeAt > FRESH_LIFE) return null;
  return ASK_AGAIN[device.asked] ?? null;
};

export const OUTCOME_MOVES: readonly Move[] = [
  {
    on: 'accepted',
    from: ['pushed'],
    when: (c) => c.device.asked > 0 && counts(c),
    to: 'pushed',
    change: () => ({ asked: 0, countedPush: 0 }),
    why: 'it has subscribed in the meantime',
  },
  {
    on: 'push-timeout',
    from: ['pushed'],
    when: isOfThisAttempt,
    to: 'pushed',
    change: ({ event }) => ({ nextPush: event.now }),
    why: 'a push is repeated rather than lost',
  },
  {
    on: 'restarted',
    from: ['pushed'],
    to: 'pushed',
    change: ({ event }) => ({ nextPush: event.now }),
    why: 'a push is repeated rather than lost: a kill may have come between its commit and its way out',
  },
  {
    on: 'offline-after-reconnect',
    from: ['pushed'],
    when: counts,
    to: 'pushed',
    change: ({ device, event }) => ({
      nextPush: event.now + RETURN,
      countedPush: device.pushes + 1,
    }),
    why: 'its connection was cut as ours was, and it may be on its way back: the push goes out again',
  },
  {
    on: 'offline',
    from: ['pushed'],
    when: (c) => counts(c) && askAgainAfter(c) !== null,
    to: 'pushed',
    change: (c) => ({
      asked: c.device.asked + 1,
      countedPush: c.device.pushes + 1,
      nextPush: c.event.now + (askAgainAfter(c) ?? 0),
    }),
    why: 'it gave a sign of life a moment ago, and may be about to subscribe: asked again before it counts',
  },
  {
    on: 'offline',
    from: ['pushed'],
    when: (c) => counts(c) && c.rules.policy.offline === 'wait',
    to: 'pending',
    change: wait(because('offline')),
    why: 'nobody there: the attempt goes on when the device gives a sign of life',
  },
  ...failing('offline', ['pushed'], because('offline'), 'nobody there to get the push', { when: counts }),
  ...failing(
    'refused',
    ['pushed'],
    because('refused'),
    'its token can not stand in a topic, or the broker does not let us publish there',
    { when: counts },
  ),
];
