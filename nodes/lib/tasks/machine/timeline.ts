/**
 * How a task's devices ended over time: counts are kept by buckets of time that grow with the age of the task, so
 * that what is kept is bounded. Pure.
 */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

/** Up to an age of the task, how wide its buckets are: 600, 1440, 1440 of them, then one a day. */
const WIDTHS: readonly (readonly [upTo: number, width: number])[] = [
  [10 * MINUTE, SECOND],
  [DAY, MINUTE],
  [30 * DAY, 30 * MINUTE],
  [Infinity, DAY],
];

/**
 * The bucket of an event, by its end: wall clock, milliseconds.
 * @param createdAt of the task, wall clock
 */
export function bucketOf(createdAt: number, wall: number): number {
  const age = Math.max(0, wall - createdAt);
  const width = WIDTHS.find(([upTo]) => age < upTo)?.[1] ?? DAY;
  return createdAt + (Math.floor(age / width) + 1) * width;
}

export interface EndedCounts {
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
}

/** What a bucket adds; a failure that turned out to be a success takes one failure away. */
export interface Bucket extends EndedCounts {
  readonly at: number;
}

export interface Point extends EndedCounts {
  readonly at: number;
}

/**
 * Cumulative counts at evenly spread times.
 * @param buckets in the order of time
 * @returns `number` points; the last one stands at `to` and has all that there is
 */
export function timeline(buckets: readonly Bucket[], from: number, to: number, number: number): Point[] {
  const points: Point[] = [];
  const sum = { succeeded: 0, failed: 0, cancelled: 0 };
  let next = 0;
  for (let i = 1; i <= number; i += 1) {
    const at = i === number ? to : from + Math.round(((to - from) * i) / number);
    for (; next < buckets.length; next += 1) {
      const bucket = buckets[next];
      if (bucket === undefined || (bucket.at > at && i < number)) break;
      sum.succeeded += bucket.succeeded;
      sum.failed += bucket.failed;
      sum.cancelled += bucket.cancelled;
    }
    points.push({ at, ...sum });
  }
  return points;
}
