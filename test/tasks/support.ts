/** What the specifications of tasks share: devices, plans and events in few words. */
import type { Event } from '../../nodes/lib/tasks/machine';
import { DEFAULT_POLICY } from '../../nodes/lib/tasks/policy';
import type { Device, Policy, TaskPlan } from '../../nodes/lib/tasks/types';

export const NOW = 1_000_000;
export const WALL = Date.UTC(2026, 0, 1);

export function policy(fields: Partial<Policy> = {}): Policy {
  return { ...DEFAULT_POLICY, ...fields };
}

export function device(fields: Partial<Device> = {}): Device {
  return {
    id: 1,
    task: 1,
    accessToken: 'dev-1',
    wave: 1,
    order: 0,
    status: 'pending',
    hold: null,
    step: null,
    attempt: 0,
    retries: 0,
    reason: null,
    desc: '',
    source: 'v1',
    pushId: null,
    pushes: 0,
    nextPush: null,
    since: NOW,
    reported100: false,
    confirmed: false,
    lateReportUntil: null,
    versionBefore: null,
    variant: 0,
    sameAttempt: false,
    firstWait: null,
    probes: 0,
    repeats: 0,
    lifeAt: null,
    asked: 0,
    countedPush: 0,
    lastPush: null,
    rebootAt: null,
    thirdVersion: false,
    overtaken: false,
    named: false,
    cancelledByName: false,
    at: WALL,
    events: 0,
    ...fields,
  };
}

/** A device that was pushed at NOW with the id 'id-1'. */
export function pushed(fields: Partial<Device> = {}): Device {
  return device({
    status: 'pushed',
    attempt: 1,
    pushId: 'id-1',
    pushes: 1,
    countedPush: 1,
    lastPush: NOW,
    ...fields,
  });
}

export function upgrading(fields: Partial<Device> = {}): Device {
  return pushed({ status: 'upgrading', step: 30, countedPush: 0, ...fields });
}

/** A device that waits for a sign of life since NOW, in the attempt with the id 'id-1'. */
export function waiting(fields: Partial<Device> = {}): Device {
  return pushed({
    status: 'pending',
    hold: 'wait',
    reason: 'offline',
    sameAttempt: true,
    firstWait: NOW,
    countedPush: 0,
    nextPush: NOW + 60_000,
    ...fields,
  });
}

export function plan(
  id: number,
  version: string,
  fields: { module?: string; policy?: Partial<Policy> } = {},
): TaskPlan {
  const upgrade = {
    version,
    url: 'http://127.0.0.1/f.bin',
    size: 4,
    signMethod: 'Md5',
    sign: '0'.repeat(32),
    module: fields.module ?? 'default',
    extData: null,
  } as const;
  return {
    id,
    taskId: `task-${id}`,
    name: '',
    upgrade,
    package: {},
    description: '',
    packages: [{ upgrade, package: {}, fromVersions: [], requires: null }],
    endAt: null,
    endBehavior: 'stop',
    joining: null,
    policy: policy(fields.policy),
    createdAt: WALL,
    startAt: null,
    running: { before: 0, since: 0 },
  };
}

export function event(on: Event['on'], fields: Partial<Event> = {}): Event {
  return { on, now: NOW + 1000, ...fields };
}
