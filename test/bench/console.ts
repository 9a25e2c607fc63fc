/**
 * How soon a page of the console is there, with a fleet of 5,000 devices, 200 tasks and 100 packages, beside a page of
 * the same Dashboard that holds one line of text: what comes before that line is the Dashboard's own start. Gives rows
 * for `npm run bench`; alone: `tsx test/bench/console.ts [--quick]`. Needs Chromium; without it there are no rows.
 */
import { existsSync } from 'node:fs';
import { type Browser, type Page, chromium } from 'playwright-core';
import { build } from '../../scripts/build';
import { startEmptyDashboard } from './console/empty-dashboard';
import { startLargeConsole } from './console/large-fleet';
import { median, printTable, type Row } from './table';

const CHROMIUM = '/usr/bin/chromium';
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'];
const GOAL_MS = 1000;
const FIRST_ROW = '.ota-table tbody tr';

interface Place {
  readonly name: string;
  /** Opened by its address. */
  readonly address: string;
  /** Opened from another page of the console, by a click. */
  readonly from: string;
  readonly link: string;
}

const PLACES = (task: string): readonly Place[] => [
  { name: 'fleet', address: 'fleet', from: 'tasks', link: '.ota-nav a[href*="/fleet"]' },
  {
    name: 'a device',
    address: 'device?token=meter-00030',
    from: 'fleet',
    link: '.ota-table a[href^="device?"]',
  },
  { name: 'tasks', address: 'tasks', from: 'fleet', link: '.ota-nav a[href*="/tasks"]' },
  {
    name: 'a task of all',
    address: `devices?task=${task}`,
    from: 'tasks',
    link: '.ota-table a[href^="devices?"]',
  },
  { name: 'packages', address: 'packages', from: 'fleet', link: '.ota-nav a[href*="/packages"]' },
];

/** Milliseconds from the request of a page by its address. */
interface Visit {
  /** Something is painted: the page's background. */
  readonly paint: number;
  /** Text or a picture is painted. */
  readonly content: number;
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
  const stops: (() => Promise<void>)[] = [];
  try {
    const large = await startLargeConsole({ devices: 5000, tasks: 200, packages: 100 });
    stops.unshift(() => large.stop());
    const empty = await startEmptyDashboard();
    stops.unshift(empty.stop);
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    stops.unshift(() => browser.close());
    const times = quick ? 3 : 7;
    const rows: Row[] = [];
    for (const place of PLACES(large.task)) {
      const sides = { ours: `${large.url}/dashboard/${place.address}`, other: empty.url };
      const { ours, other } = await visitInTurns(browser, sides, times);
      const clicks = await clickOften(browser, `${large.url}/dashboard`, place, times);
      rows.push(...addressRows(place, ours, other), clickRow(place, clicks));
    }
    return rows;
  } finally {
    for (const stop of stops) await stop();
  }
}

function addressRows({ name }: Place, ours: readonly Visit[], other: readonly Visit[]): Row[] {
  const of = (visits: readonly Visit[], what: keyof Visit): number => median(visits.map((one) => one[what]));
  const what = `(g) console, ${name}`;
  const paint = of(ours, 'paint');
  const ratio = of(ours, 'content') / of(other, 'content');
  const later = of(ours, 'rows') - of(other, 'rows');
  return [
    {
      ...{ what: `${what}: first paint`, ours: ms(paint), other: ms(of(other, 'paint')), result: ms(paint) },
      ...{ goal: `at most ${GOAL_MS} ms`, reached: paint <= GOAL_MS },
    },
    {
      ...{ what: `${what}: first content`, ours: ms(of(ours, 'content')), other: ms(of(other, 'content')) },
      ...{ result: ratio.toFixed(2), goal: 'at most 1.25', reached: ratio <= 1.25 },
    },
    {
      what: `${what}: first row, ${of(ours, 'kilobytes').toFixed(0)} kB sent`,
      ...{ ours: ms(of(ours, 'rows')), other: ms(of(other, 'rows')), result: `${ms(later)} more` },
      ...{ goal: `at most ${GOAL_MS} ms more`, reached: later <= GOAL_MS },
    },
  ];
}

function clickRow({ name }: Place, clicks: readonly number[]): Row {
  const shown = ms(median(clicks));
  return {
    ...{ what: `(g) console, ${name}: first row after a click`, ours: shown, other: '', result: shown },
    ...{ goal: `at most ${GOAL_MS} ms`, reached: median(clicks) <= GOAL_MS },
  };
}

const ms = (value: number): string => `${value.toFixed(0)} ms`;

/** In one browser, as an operator's: the first visit of each fills its cache and doesn't count. */
async function visitInTurns(
  browser: Browser,
  sides: Readonly<Record<'ours' | 'other', string>>,
  times: number,
): Promise<Record<'ours' | 'other', Visit[]>> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const visits: Record<'ours' | 'other', Visit[]> = { ours: [], other: [] };
  for (let i = 0; i <= times; i += 1) {
    for (const side of ['ours', 'other'] as const) {
      const page = await context.newPage();
      const visit = await visitOnce(page, sides[side]);
      if (i > 0) visits[side].push(visit);
      await page.close();
    }
  }
  await context.close();
  return visits;
}

async function visitOnce(page: Page, url: string): Promise<Visit> {
  page.setDefaultTimeout(60_000);
  let bytes = 0;
  page.on('websocket', (socket) =>
    socket.on('framereceived', ({ payload }) => {
      bytes += payload.length;
    }),
  );
  await page.goto(url, { waitUntil: 'commit' });
  await page.locator(FIRST_ROW).first().waitFor();
  const visit = await page.evaluate(() => ({
    rows: performance.now(),
    paint: performance.getEntriesByName('first-paint')[0]?.startTime ?? NaN,
    content: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN,
  }));
  return { ...visit, kilobytes: bytes / 1000 };
}

/** Milliseconds from the click on a link to the first row of the page behind it. */
async function clickOften(
  browser: Browser,
  dashboard: string,
  { from, link }: Place,
  times: number,
): Promise<number[]> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const clicks: number[] = [];
  for (let i = 0; i <= times; i += 1) {
    await page.goto(`${dashboard}/${from}`, { waitUntil: 'commit' });
    await page.locator(FIRST_ROW).first().waitFor();
    await page.locator(link).first().waitFor();
    await page.evaluate(
      ([selector, row]) => {
        const before = document.querySelector(row);
        Object.assign(window, { otaBench: { before, begun: performance.now() } });
        document.querySelector<HTMLElement>(selector)?.click();
      },
      [link, FIRST_ROW] as const,
    );
    const shown = await page.waitForFunction(
      (row) => {
        const { before, begun } = Reflect.get(window, 'otaBench') as { before: Element; begun: number };
        const now = document.querySelector(row);
        return now === null || now === before ? false : performance.now() - begun;
      },
      FIRST_ROW,
      { polling: 'raf' },
    );
    const took = (await shown.jsonValue()) as number;
    if (i > 0) clicks.push(took);
  }
  await context.close();
  return clicks;
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
