/** The upgrades of one ota-push node between its file and a deploy. */
import assert from 'node:assert/strict';
import { systemClock } from '../../nodes/lib/device/clock';
import type { ReceivedUpgrade } from '../../nodes/lib/device/types';
import { UpgradeWork } from '../../nodes/lib/device/work';
import { cleanup } from '../support/cleanup';

const payload = { accessToken: 'a', module: 'MCU', version: 'v2', id: '1', code: null, size: null };
const UPGRADE: ReceivedUpgrade = {
  topic: 'ota/upgrade/a',
  payload: { ...payload, url: 'http://x/1', signMethod: null, sign: null, extData: {}, at: '' },
};

describe('an upgrade that is being written to disk when a deploy begins', () => {
  const later = cleanup();

  /** Work whose saves the test ends, and what it hands out. */
  const setUp = (): { work: UpgradeWork; out: unknown[]; saved: () => Promise<void> } => {
    const out: unknown[] = [];
    let written: ((isWritten: boolean) => void)[] = [];
    const save = (): Promise<boolean> => new Promise((resolve) => written.push(resolve));
    const settings = {
      hold: true,
      parallel: Infinity,
      maxAttempts: 3,
      workTimeoutMs: 60_000,
      keepInWork: true,
    };
    const events = {
      handOut: (...given: unknown[]) => void out.push(given),
      gaveUp: () => {},
      stuck: () => {},
      changed: () => {},
    };
    const file = { save, settled: () => Promise.resolve(true) };
    const state = { waiting: [], inWork: [], ended: [] };
    const work = new UpgradeWork(settings, state, new Set(), file, events, systemClock);
    later({ stop: () => work.close() });
    work.start();
    const saved = async (): Promise<void> => {
      for (const resolve of written.splice(0)) resolve(true);
      written = [];
      await new Promise(setImmediate);
    };
    return { work, out, saved };
  };

  it('goes out behind it as it would have: for the first time, with the message that released it', async () => {
    const { work, out, saved } = setUp();
    work.receive(UPGRADE);
    const origin = { topic: 'release' };
    void work.release(origin);
    await new Promise(setImmediate);
    work.pause();
    await saved();
    assert.deepEqual(out, []);
    work.start();
    await saved();
    assert.deepEqual(out, [[UPGRADE, null, origin]]);
  });

  it('does not go out where it was ended during the deploy', async () => {
    const { work, out, saved } = setUp();
    work.receive(UPGRADE);
    void work.release({});
    await new Promise(setImmediate);
    work.pause();
    await saved();
    void work.finish('done', 'a', null);
    work.start();
    await saved();
    assert.deepEqual(out, []);
  });
});
