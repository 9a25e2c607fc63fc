/** A device's row to be changed. Pure. */
import type { Device } from '../types';

export type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Field by field: for so many fields a spread takes V8 ten times as long, and each report makes a copy. */
export function copyOf(device: Device): Writable<Device> {
  return {
    id: device.id,
    task: device.task,
    accessToken: device.accessToken,
    wave: device.wave,
    order: device.order,
    status: device.status,
    hold: device.hold,
    step: device.step,
    attempt: device.attempt,
    retries: device.retries,
    reason: device.reason,
    desc: device.desc,
    source: device.source,
    pushId: device.pushId,
    pushes: device.pushes,
    nextPush: device.nextPush,
    since: device.since,
    reported100: device.reported100,
    confirmed: device.confirmed,
    lateReportUntil: device.lateReportUntil,
    versionBefore: device.versionBefore,
    variant: device.variant,
    sameAttempt: device.sameAttempt,
    firstWait: device.firstWait,
    probes: device.probes,
    repeats: device.repeats,
    lifeAt: device.lifeAt,
    asked: device.asked,
    countedPush: device.countedPush,
    lastPush: device.lastPush,
    rebootAt: device.rebootAt,
    thirdVersion: device.thirdVersion,
    overtaken: device.overtaken,
    named: device.named,
    cancelledByName: device.cancelledByName,
    at: device.at,
    events: device.events,
  };
}
