/** How much of what others cause is told in a day. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BURST, LogBudget, REFILL } from '../../nodes/lib/red/log-budget';

const DAY = 24 * 3600 * 1000;

/** Lines of a time in which something is told whenever it may be. @param gaps further milliseconds between two */
function linesIn(time: number, gaps: readonly number[]): number {
  const budget = new LogBudget(0);
  let lines = 0;
  for (let now = 0; now < time; lines += 1) now += budget.pause(now) + (gaps[lines % gaps.length] ?? 0);
  return lines;
}

describe('the lines of a log that a flood causes', () => {
  it('are one a second at first', () => {
    const budget = new LogBudget(0);
    for (let i = 1; i < 50; i += 1) assert.equal(budget.pause(i * 1000), 1000);
  });

  it('are 2,440 in a day at most, in the first as in any other', () => {
    const limit = BURST + DAY / REFILL;
    assert.equal(limit, 2440);
    assert.ok(linesIn(DAY, [0]) <= limit);
    assert.ok(linesIn(10 * DAY, [0]) <= BURST + (10 * DAY) / REFILL);
  });

  it('have that bound however the flood comes and goes', () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 20 * REFILL }), { minLength: 1, maxLength: 50 });
    fc.assert(fc.property(gaps, (list) => linesIn(DAY, list) <= BURST + DAY / REFILL));
  });

  it('come once a second again after a quiet day', () => {
    const budget = new LogBudget(0);
    for (let i = 0; i < 2 * BURST; i += 1) budget.pause(0);
    assert.equal(budget.pause(REFILL), REFILL);
    assert.equal(budget.pause(DAY), 1000);
  });
});
