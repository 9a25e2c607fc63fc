/**
 * How soon a page of the console is there, with a fleet of 5,000 devices, 200 tasks and 100 packages. Gives rows for
 * `npm run bench`; alone: `tsx test/bench/console.ts [--quick]`. Needs Chromium; without it there are no rows.
 */
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import { build } from '../../scripts/build';
import { type LargeConsole, startLargeConsole } from './console/large-fleet';
import { median, printTable, type Row } from './table';

const CHROMIUM = '/usr/bin/chromium';
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'];
const GOAL_MS = 1000;

/** What is looked for on each page: its first row. */
const PAGES = (task: string): readonly (readonly [string, string])[] => [
  ['fleet', 'fleet'],
  ['a device', 'device?token=meter-00030'],
  ['tasks', 'tasks'],
  ['a task of all', `devices?task=${task}`],
  ['packages', 'packages'],
];

interface Visit {
  /** Milliseconds from the request of the page to its first paint, and to its first row. */
  readonly paint: number;
  readonly rows: number;
  readonly kilobytes: number;
}

export async function benchConsole({
  quick,
  say,
}: {
  quick: boolean;
  say: (line: string) => void;
}): Promise<Row[]> {
  if (!existsSync(CHROMIUM)) {
    say('(g) skipped: install chromium');
    return [];
  }
  const large = await startLargeConsole({ devices: 5000, tasks: 200, packages: 100 });
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  try {
    const rows: Row[] = [];
    for (const [name, place] of PAGES(large.task)) {
      const visits = await visitOften(browser, large, place, quick ? 3 : 7);
      const [paint, first] = (['paint', 'rows'] as const).map((of) => median(visits.map((one) => one[of])));
      const kilobytes = median(visits.map((one) => one.kilobytes));
      rows.push({
        what: `(g) console, ${name}: first paint`,
        ours: `${ms(paint)}, rows ${ms(first)}`,
        other: `${kilobytes.toFixed(0)} kB sent`,
        result: ms(paint),
        goal: `at most ${GOAL_MS} ms`,
        reached: (paint ?? Infinity) <= GOAL_MS,
      });
    }
    return rows;
  } finally {
    await browser.close();
    await large.stop();
  }
}

const ms = (value = NaN): string => `${value.toFixed(0)} ms`;

/** In one browser, as an operator's: the first visit fills its cache and doesn't count. */
async function visitOften(
  browser: Browser,
  { url }: LargeConsole,
  place: string,
  times: number,
): Promise<Visit[]> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const visits: Visit[] = [];
  for (let i = 0; i <= times; i += 1) {
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    let bytes = 0;
    page.on('websocket', (socket) =>
      socket.on('framereceived', ({ payload }) => {
        bytes += payload.length;
      }),
    );
    await page.goto(`${url}/dashboard/${place}`, { waitUntil: 'commit' });
    await page.locator('.ota-table tbody tr').first().waitFor();
    const visit = await page.evaluate(() => ({
      rows: performance.now(),
      paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN,
    }));
    if (i > 0) visits.push({ ...visit, kilobytes: bytes / 1000 });
    await page.close();
  }
  await context.close();
  return visits;
}

async function main(): Promise<void> {
  await build();
  const rows = await benchConsole({
    quick: process.argv.includes('--quick'),
    say: (line) => console.log(line),
  });
  console.log(printTable(rows));
}

if (require.main === module) {
  main().catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  });
}
