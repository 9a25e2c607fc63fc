/** The reports of a service's devices between the disk, the broker and the next upgrade. */
import assert from 'node:assert/strict';
import type { DeviceReport } from '../../nodes/lib/device/report-queue';
import { DeviceReports, type NewReport, type ReportOutcome } from '../../nodes/lib/device/reports';
import { OtaError, type Outcome } from '../../nodes/lib/protocol';

const common = { accessToken: 'a', node: 'n', module: 'MCU' } as const;
const step = (value: number): NewReport => ({
  ...common,
  kind: 'progress',
  step: value,
  desc: '',
  keepMs: 60_000,
});
const VERSION: NewReport = { ...common, kind: 'inform', version: 'v2', id: '1' };
const ACKNOWLEDGED: Outcome = { delivery: 'accepted', error: null };
const REFUSED: Outcome = { delivery: 'refused', error: new OtaError('OTA_PUBLISH_REFUSED', 'No.') };

type Answer = (outcome: Outcome) => void;

/** Reports whose saves, and whose answers of the broker, the test gives. */
function setUp(): {
  reports: DeviceReports;
  sent: DeviceReport[];
  answer: (outcome: Outcome) => Promise<void>;
  submit: (report: NewReport) => { outcome: ReportOutcome | null };
  saved: () => Promise<void>;
} {
  const sent: DeviceReport[] = [];
  const answers: Answer[] = [];
  let written: ((isWritten: boolean) => void)[] = [];
  let keys = 0;
  const save = (): Promise<boolean> => new Promise((resolve) => written.push(resolve));
  const file = { save, settled: () => Promise.resolve(true) };
  const reports = new DeviceReports([], file, () => `key-${(keys += 1)}`);
  const saved = async (): Promise<void> => {
    for (const resolve of written) resolve(true);
    written = [];
    await new Promise(setImmediate);
  };
  reports.addSender({
    nodeId: 'n',
    connected: () => true,
    away: () => false,
    send: (report, settled) => {
      sent.push(report);
      answers.push(settled);
    },
    settled: () => {},
  });
  return {
    reports,
    sent,
    saved,
    answer: (outcome) => {
      answers.shift()?.(outcome);
      return saved();
    },
    submit: (report) => {
      const message: { outcome: ReportOutcome | null } = { outcome: null };
      void reports.submit(report).then((outcome) => (message.outcome = outcome));
      return message;
    },
  };
}

const shown = (sent: DeviceReport[]): (number | string)[] =>
  sent.map((report) => (report.kind === 'progress' ? report.step : report.version));

describe('the reports of a device, where the next upgrade of the module is handed out', () => {
  it('are sent though they were being written meanwhile', async () => {
    const { reports, sent, submit, saved, answer } = setUp();
    const message = submit(step(100));
    reports.handedOut('a', 'MCU');
    await saved();
    assert.deepEqual(shown(sent), [100]);
    await answer(ACKNOWLEDGED);
    assert.deepEqual(message.outcome, ACKNOWLEDGED);
    assert.deepEqual(reports.reports, []);
  });

  it('go on behind a step that was on its way', async () => {
    const { reports, sent, submit, saved, answer } = setUp();
    submit(step(100));
    await saved();
    submit(VERSION);
    await saved();
    reports.handedOut('a', 'MCU');
    await answer(ACKNOWLEDGED);
    assert.deepEqual(shown(sent), [100, 'v2']);
  });

  it('lose the step that the broker refused, which would be taken for one of the new upgrade', async () => {
    const { reports, submit, saved, answer } = setUp();
    submit(step(-1));
    await saved();
    await answer(REFUSED);
    assert.deepEqual(shown(reports.reports), [-1]);
    reports.handedOut('a', 'other');
    assert.deepEqual(shown(reports.reports), [-1]);
    reports.handedOut('a', 'MCU');
    assert.deepEqual(shown(reports.reports), []);
  });
});

describe('the reports of ten thousand devices that wait for a broker that is away', () => {
  it('are still the newest: one more of a device that has one there is taken, one of another device is not', async () => {
    const file = { save: () => Promise.resolve(true), settled: () => Promise.resolve(true) };
    let keys = 0;
    const reports = new DeviceReports([], file, () => `key-${(keys += 1)}`);
    const link = { connected: () => false, away: () => true, send: () => {}, settled: () => {} };
    reports.addSender({ nodeId: 'n', ...link });
    const submit = (value: number, accessToken: string): Promise<ReportOutcome> =>
      reports.submit({ ...step(value), accessToken });
    const first = submit(-2, 't0');
    for (let i = 1; i < 10_000; i += 1) void submit(-2, `t${i}`);
    await assert.rejects(submit(100, 'another'), { code: 'OTA_QUEUE_FULL' });
    void submit(100, 't0');
    assert.equal(await first, 'replaced');
    assert.equal(reports.reports.length, 10_000);
    assert.deepEqual(shown(reports.reports.slice(-1)), [100]);
  });
});
