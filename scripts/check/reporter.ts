/**
 * Mocha's own report, and beside it what a program can read: totals, what was skipped, and how long each file took.
 * Written at the end as JSON into the file that OTA_TEST_RESULTS names.
 */
import fs from 'node:fs';
import path from 'node:path';
import Mocha from 'mocha';

export interface Failure {
  /** The full title of the test or hook. */
  readonly title: string;
  /** What the error says, its first line. */
  readonly message: string;
}

export interface TestResults {
  readonly passed: number;
  readonly failed: number;
  readonly failures: readonly Failure[];
  /** Full titles. */
  readonly skipped: readonly string[];
  /** Seconds of each file, its hooks included, by its path from the working directory. */
  readonly seconds: Readonly<Record<string, number>>;
}

const { EVENT_RUN_END, EVENT_TEST_FAIL, EVENT_SUITE_BEGIN, EVENT_SUITE_END, EVENT_TEST_PENDING } =
  Mocha.Runner.constants;

class Reporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    const skipped: string[] = [];
    const failed: Failure[] = [];
    const seconds: Record<string, number> = {};
    let began = 0;
    const ofFile = ({ parent }: Mocha.Suite): boolean => parent?.root === true;
    runner.on(EVENT_TEST_PENDING, (test) => skipped.push(test.fullTitle()));
    runner.on(EVENT_TEST_FAIL, (test, error) => {
      failed.push({ title: test.fullTitle(), message: String(error).split('\n', 1)[0] ?? '' });
    });
    runner.on(EVENT_SUITE_BEGIN, (suite) => {
      if (ofFile(suite)) began = performance.now();
    });
    runner.on(EVENT_SUITE_END, (suite) => {
      if (!ofFile(suite)) return;
      const file = path.relative(process.cwd(), suite.file ?? '');
      seconds[file] = (seconds[file] ?? 0) + (performance.now() - began) / 1000;
    });
    runner.on(EVENT_RUN_END, () => {
      const file = process.env['OTA_TEST_RESULTS'];
      if (file === undefined) return;
      const { passes, failures } = this.stats;
      const results: TestResults = { passed: passes, failed: failures, failures: failed, skipped, seconds };
      fs.writeFileSync(file, JSON.stringify(results));
    });
  }
}

// Mocha looks for the class itself.
module.exports = Reporter;
