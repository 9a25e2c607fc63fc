/** Moves that a person asks for, or the end of the task. */
import { ACTIVE, and, type Case, end, type Move, set, setIfPushed } from './move';
import type { Device } from '../types';

const leave = (c: Case): Partial<Device> =>
  and(end(c, c.event.reason ?? null), { cancelledByName: c.event.named === true });

export const PEOPLE_MOVES: readonly Move[] = [
  {
    on: 'cancel',
    from: ['pending'],
    to: 'cancelled',
    change: leave,
    why: 'cancelled in time',
    lateReport: setIfPushed,
  },
  {
    on: 'cancel',
    from: ACTIVE,
    to: 'cancelled',
    change: leave,
    why: 'cancelled here; the device is told nothing, what it reports later is history',
    lateReport: set,
  },
  {
    on: 'retry',
    from: ['failed', 'cancelled'],
    to: 'pending',
    change: (c) =>
      and(end(c, null), {
        step: null,
        retries: 0,
        firstWait: null,
        probes: 0,
        thirdVersion: false,
        overtaken: false,
        named: c.event.named === true,
        cancelledByName: false,
      }),
    why: 'a person asked for it',
  },
];
