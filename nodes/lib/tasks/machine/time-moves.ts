/** Moves by time alone. */
import type { FailReason } from '../types';
import { CONFIRM_OVER } from './limits';
import {
  again,
  because,
  type Case,
  end,
  failing,
  type Move,
  retriesLeft,
  set,
  setIfPushed,
  wait,
} from './move';

/** Where the broker said "no subscriber" and time ran out before it counted, that is the reason. */
const silence = ({ device }: Case): FailReason => (device.asked > 0 ? 'offline' : 'no-response');
/** A third version that it reported says more than the limit does. */
const orMismatch =
  (reason: (c: Case) => FailReason) =>
  (c: Case): FailReason =>
    c.device.thirdVersion ? 'version-mismatch' : reason(c);

export const TIME_MOVES: readonly Move[] = [
  {
    on: 'no-response',
    from: ['pushed'],
    when: (c) => c.rules.policy.offline === 'wait',
    to: 'pending',
    change: wait(silence),
    why: 'brokers that can not tell who is there leave silence only: it is waited for as well',
  },
  ...failing('no-response', ['pushed'], orMismatch(silence), 'not a word after the push', {
    lateReport: set,
  }),
  ...failing('stalled', ['upgrading'], orMismatch(because('stalled')), 'no progress for too long', {
    lateReport: set,
  }),
  ...failing(
    'unconfirmed',
    ['upgrading'],
    orMismatch(because('unconfirmed')),
    'a 100, but never the version',
  ),
  {
    on: 'rebooted',
    from: ['upgrading'],
    when: retriesLeft,
    to: 'pending',
    change: (c) => again(c, 'rebooted', null),
    why: 'the old version, and no progress since: a new attempt with a new id',
  },
  {
    on: 'rebooted',
    from: ['upgrading'],
    to: 'upgrading',
    change: () => ({ rebootAt: null }),
    why: 'no attempt is left: the limits run on',
  },
  {
    on: 'waited',
    from: ['pending'],
    when: (c) => c.device.hold === 'wait',
    to: 'failed',
    change: (c) => end(c, c.device.reason === 'no-response' ? 'no-response' : 'offline'),
    why: 'it gave no sign of life for as long as the policy waits',
    lateReport: setIfPushed,
  },
  {
    on: 'delay-over',
    from: ['pending'],
    when: (c) => c.device.hold === 'delay',
    to: 'pending',
    change: (c) => ({ hold: null, since: c.event.now }),
    why: 'the delay before another attempt is over',
  },
  {
    on: 'confirm-over',
    from: ['succeeded'],
    to: 'succeeded',
    change: () => ({ since: CONFIRM_OVER }),
    why: 'the time in which the success could be refuted is over',
  },
];
