/** A step in the status of ota-progress, on both sides. */
import { stepStatus } from '../lib/protocol';
import type { Status } from '../lib/red/status';

/** A failure stays in sight until the next upgrade has succeeded. */
export function showStep(status: Status, step: number): void {
  const { status: state, failure } = stepStatus(step);
  if (state === 'failed') status.failure(`ota-progress.status.${failure ?? 'upgrade'}`);
  else if (state === 'succeeded') status.success('100 %');
  else status.going(`${step} %`);
}
