/**
 * `npm run pictures`, or `npm run pictures -- console zh-CN` for a part and a language: makes the pictures of the README and of docs, in docs/pictures, from the running system, in both languages:
 * the editor with the examples shown there, and the console's pages. Fails where a font is missing, instead of
 * printing boxes. They ship with nothing.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build } from './build';
import { ROOT } from './build/paths';
import { startBroker } from './demo/broker';
import { CONSOLE, exampleFlow, injectNode, WHOLE_UPGRADE } from './demo/flow';
import { type DemoNodeRed, startNodeRed } from './demo/node-red';
import { addFirstPackage } from './demo/package';
import { nextFreePort } from './demo/ports';
import { animated } from './pictures/apng';

const EXAMPLES = [WHOLE_UPGRADE, 'examples/own-platform.json', 'examples/fleet-task.json'];
/** Labels of the tabs that are shown, and the names of their pictures. */
const TABS = [
  ['OTA: a whole upgrade', 'whole-upgrade'],
  ['OTA: own platform', 'own-platform'],
  ['OTA: a fleet', 'fleet-task'],
] as const;
const TARGET = path.join(ROOT, 'docs/pictures');
const LANGUAGES = ['en-US', 'zh-CN'];
/** Of the animated picture: it is to stay below 1 MB. */
const FRAMES = 14;
const FRAME_MS = 700;
const BETWEEN_MS = 2000;
/** A machine that does something else besides takes its time. */
const PATIENCE_MS = 180_000;
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--hide-scrollbars'];

/** @throws Error where Chinese text would be boxes */
function requireChineseFont(): void {
  let fonts = '';
  try {
    fonts = execFileSync('fc-list', [':lang=zh-cn', 'family'], { encoding: 'utf8' });
  } catch (error) {
    throw new Error('The fonts can not be listed: install fontconfig.', { cause: error });
  }
  if (fonts.trim() === '') throw new Error('No Chinese font is installed: apt-get install fonts-noto-cjk.');
}

async function main(): Promise<void> {
  requireChineseFont();
  await build();
  await fs.mkdir(TARGET, { recursive: true });
  for (const language of chosen(LANGUAGES)) {
    for (const part of chosen(['editor', 'console'])) {
      if (part === 'editor') {
        await withDemo(language, EXAMPLES, (red, browser) => editor(red, browser, language));
      } else await withDemo(language, [CONSOLE], (red, browser) => pages(red.url, browser, language));
    }
  }
}

/** Those that an argument names; all where none does. */
function chosen(of: readonly string[]): readonly string[] {
  const named = of.filter((one) => process.argv.includes(one));
  return named.length === 0 ? of : named;
}

/** A system of its own for each language and its examples: nobody has been upgraded yet. */
async function withDemo(
  language: string,
  examples: readonly string[],
  use: (red: DemoNodeRed, browser: Browser) => Promise<void>,
): Promise<void> {
  const userDir = await fs.mkdtemp(path.join(os.tmpdir(), 'ota-pictures-'));
  const broker = await startBroker(await nextFreePort(1883));
  let red: DemoNodeRed | null = null;
  let browser: Browser | null = null;
  try {
    const ports = {
      http: await nextFreePort(1880),
      mqtt: broker.port,
      protocolVersion: broker.protocolVersion,
    };
    await addFirstPackage(userDir);
    red = await startNodeRed({ userDir, port: ports.http });
    await red.deploy(await exampleFlow(ports, examples));
    // The browser's own words, e.g. in a field for a date, come from its environment.
    const env = { ...process.env, LANGUAGE: language.replace('-', '_') };
    const args = [...FLAGS, `--lang=${language}`];
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args, env });
    await use(red, browser);
  } finally {
    await browser?.close();
    await red?.stop();
    await broker.stop();
    await fs.rm(userDir, { recursive: true, force: true });
  }
}

/** The canvas of each example that is shown, after it was used. */
async function editor(red: DemoNodeRed, browser: Browser, language: string): Promise<void> {
  const page = await browser.newPage({ viewport: { width: 1440, height: 760 }, locale: language });
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(red.url);
  await page.locator('.red-ui-flow-node').first().waitFor();
  await page.locator('#red-ui-header-button-sidemenu').waitFor();
  await red.inject(await injectNode('1.'));
  await page.waitForTimeout(500);
  await red.inject(await injectNode('2.'));
  // The simulated device installs for a second, then reports what it runs.
  await page.waitForTimeout(4000);
  await page.keyboard.press('Control+Space');
  for (const [label, name] of TABS) {
    await page.locator('.red-ui-tab', { hasText: label }).first().click();
    await page.mouse.move(1300, 700);
    await page.waitForTimeout(500);
    await save(page, `${name}-${language}`);
  }
  await page.close();
}

/** A package, a task that is under way, its devices; the last one narrow, too. */
async function pages(url: string, browser: Browser, language: string): Promise<void> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 }, locale: language });
  page.setDefaultTimeout(PATIENCE_MS);
  const go = (place: string): Promise<unknown> => page.goto(`${url}/dashboard/${place}?lang=${language}`);
  await slowDown(page, () => go('simulator'));
  await go('packages');
  await page.locator('.ota-table tbody tr').first().waitFor();
  await page.waitForTimeout(500);
  await page.setViewportSize({ width: 1280, height: 372 });
  await save(page, `packages-${language}`);
  await page.setViewportSize({ width: 1280, height: 720 });
  await page.locator('.ota-table tbody tr').first().getByRole('button').first().click();
  await page.locator('.ota-preview').waitFor();
  await page.waitForTimeout(500);
  await save(page, `task-${language}`);
  await page.locator('.ota-dialog button[type=submit]').click();
  await page.waitForURL(/devices/);
  await rollout(page, language);
  await save(page, `devices-${language}`);
  await page.setViewportSize({ width: 375, height: 720 });
  await page.waitForTimeout(300);
  await save(page, `devices-narrow-${language}`);
  await page.locator('.ota-tiles .upgrading b', { hasText: /^0$/ }).waitFor();
  await page.setViewportSize({ width: 1280, height: 372 });
  await go('tasks');
  await page.locator('.ota-table tbody tr').first().waitFor();
  await page.waitForTimeout(500);
  await save(page, `tasks-${language}`);
  await page.setViewportSize({ width: 1280, height: 720 });
  await go('fleet');
  await page.locator('.ota-table tbody tr').first().waitFor();
  await page.waitForTimeout(500);
  await save(page, `fleet-${language}`);
  await page.locator('.ota-table tbody a').first().click();
  await page.locator('.ota-card').first().waitFor();
  await page.waitForTimeout(500);
  await save(page, `device-${language}`);
  await page.close();
}

/** Devices that take half a minute, so that there is something to see on the way. */
async function slowDown(page: Page, open: () => Promise<unknown>): Promise<void> {
  await open();
  const seconds = page.locator('.ota-page input[type=number]').nth(1);
  await seconds.waitFor();
  await seconds.fill('30');
  await page.locator('.ota-controls button[type=submit]').click();
  await page.waitForTimeout(1000);
}

/** A task from its first push on, as one animated picture. */
async function rollout(page: Page, language: string): Promise<void> {
  await page.setViewportSize({ width: 960, height: 600 });
  await page.locator('.ota-tiles').waitFor();
  const frames: Buffer[] = [];
  const open = ['pending', 'pushed', 'upgrading'].map((status) =>
    page.locator(`.ota-tiles .${status} b`, { hasNotText: /^0$/ }),
  );
  const isOver = async (): Promise<boolean> =>
    (await Promise.all(open.map((tile) => tile.count()))).every((count) => count === 0);
  do {
    await page.waitForTimeout(BETWEEN_MS);
    frames.push(await page.screenshot());
  } while (frames.length < FRAMES && !(await isOver()));
  frames.push(await page.screenshot());
  await fs.writeFile(path.join(TARGET, `rollout-${language}.png`), animated(frames, FRAME_MS));
  await page.setViewportSize({ width: 1280, height: 720 });
  await page.waitForTimeout(500);
}

async function save(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: path.join(TARGET, `${name}.png`) });
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
