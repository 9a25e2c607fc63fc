/** The console in a real Node-RED, used by real browsers, as people do: what is on the page is found by its words. */
import fs from 'node:fs';
import path from 'node:path';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { build } from '../../scripts/build';
import { ROOT } from '../../scripts/build/paths';
import { type AedesServer, startAedes } from '../support/aedes';
import { requireChromium, startChromium } from '../support/browser';
import { connectClient, type TestClient } from '../support/client';
import { type FlowNode, type NodeRed, type NodeRedOptions, startNodeRed } from '../support/node-red';
import { temporaryFolder, type TemporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';

export type Language = string;
export const WIDE = 1280;
export const NARROW = 375;

const folders: TemporaryFolder[] = [];
const DASHBOARD = '@flowfuse/node-red-dashboard';
const WORDS = JSON.parse(fs.readFileSync(path.join(ROOT, 'scripts/console/words.json'), 'utf8')) as Record<
  string,
  Record<Language, string>
>;
/** Those that the console has words in. */
export const LANGUAGES: readonly Language[] = Object.keys(WORDS['language.name'] ?? {});

/** A text of the console. */
export function word(language: Language, key: string, values: Record<string, string | number> = {}): string {
  const text = WORDS[key]?.[language];
  if (text === undefined) throw new Error(`no word "${key}"`);
  return text.replace(/\{(\w+)\}/g, (all, name: string) => String(values[name] ?? all));
}

/** One browser on the console; nothing is shared between two of them. */
export interface Person {
  readonly page: Page;
  readonly language: Language;
  /** Texts that came over the socket, or by the requests that it begins with. */
  readonly received: readonly string[];
  readonly sent: readonly string[];
  word(key: string, values?: Record<string, string | number>): string;
  goto(place: string): Promise<void>;
  button(key: string, values?: Record<string, string | number>): Locator;
  field(key: string): Locator;
  /** The rows of the table on the page, as texts. */
  rows(): Promise<string[]>;
  row(text: string): Locator;
  /** The dialog that is open. */
  readonly dialog: Locator;
  sees(text: string): Promise<void>;
}

export interface Console {
  readonly broker: AedesServer;
  readonly red: NodeRed;
  readonly uploads: string;
  readonly device: TestClient;
  readonly flow: readonly FlowNode[];
  open(place: string, options?: { language?: Language; width?: number }): Promise<Person>;
  /** Ends Node-RED without a warning and starts it again on the same port. */
  killAndStart(): Promise<void>;
  /** Files that an upload left. */
  leftovers(): string[];
  stop(): Promise<void>;
}

/** Between the packets of one request. */
const PACKETS = '\x1e';
/** One for all files: a Chromium takes as long to start as a test takes. */
let shared: Promise<Browser> | undefined;
/** Of `openAt`. */
let own: Promise<BrowserContext> | undefined;

function chromiumOnce(): Promise<Browser> {
  shared ??= startChromium().catch((error: unknown) => {
    // The next file tries anew.
    shared = undefined;
    throw error;
  });
  return shared;
}

after(async () => {
  await (await shared)?.close();
});

export { requireChromium };

/** Starts everything. The flow gets new ids, as an import gives them. */
export async function startConsole(
  file: 'console' | 'console-and-simulator' = 'console',
  options: Pick<NodeRedOptions, 'settings' | 'settingsCode' | 'env'> = {},
): Promise<Console> {
  await build();
  const stops: (() => Promise<void>)[] = [];
  // What was started ends in reverse order, at the end or where a later step throws.
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).reverse()) await one();
    for (const one of folders.splice(0)) await one.stop();
  };
  try {
    return await startParts(file, options, { stops, stop });
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startParts(
  file: string,
  options: Pick<NodeRedOptions, 'settings' | 'settingsCode' | 'env'>,
  /** Takes how each part ends, as soon as it runs; `stop` ends them all. */
  { stops, stop }: { stops: (() => Promise<void>)[]; stop: () => Promise<void> },
): Promise<Console> {
  const folder = await temporaryFolder('ota-console-');
  stops.push(() => folder.stop());
  const uploads = path.join(folder.path, 'uploads');
  fs.mkdirSync(uploads);
  const userDir = path.join(folder.path, 'node-red');
  linkDashboard(userDir);
  const broker = await startAedes();
  stops.push(() => broker.stop());
  const start = (port?: number): Promise<NodeRed> =>
    startNodeRed({
      ...options,
      userDir,
      nodesDir: [ROOT],
      ...(port === undefined ? { flows: [] } : { port }),
    });
  let red = await start();
  stops.push(() => red.stop());
  const simulator = path.join(folder.path, 'simulator.json');
  const variables = { BASE_URL: red.url, UPLOAD_FOLDER: uploads, SIMULATOR_FILE: simulator };
  const flow = readFlow(file, broker.port, variables);
  const listens = subscribed(broker, ['/ota/device/inform/+', '/ota/device/progress/+']);
  await red.deploy(flow);
  await listens;
  const device = await connectClient(broker.url);
  stops.push(() => device.stop());
  const browser = await chromiumOnce();
  // One for all pages: what a browser has loaded once, it needn't load and compile for each test.
  const context = await newContext(browser);
  stops.push(() => context.close());
  return {
    broker,
    uploads,
    device,
    flow,
    get red() {
      return red;
    },
    open: (place, options = {}) => open(context, () => red.url, place, options),
    async killAndStart() {
      const { port } = red;
      await red.kill();
      red = await start(port);
    },
    leftovers: () => fs.readdirSync(uploads),
    stop,
  };
}

/** Resolves as soon as somebody has subscribed to each filter: what is published before reaches nobody. */
function subscribed({ broker }: AedesServer, filters: string[]): Promise<void> {
  const missing = new Set(filters);
  return new Promise((resolve) => {
    broker.on('subscribe', (subscriptions) => {
      for (const { topic } of subscriptions) missing.delete(topic.replace(/^\$share\/[^/]+\//, ''));
      if (missing.size === 0) resolve();
    });
  });
}

/** As if it were installed there: a Node-RED from elsewhere doesn't look into the project's own node_modules. */
function linkDashboard(userDir: string): void {
  const scope = path.join(userDir, 'node_modules', '@flowfuse');
  fs.mkdirSync(scope, { recursive: true });
  fs.symlinkSync(
    path.dirname(require.resolve(`${DASHBOARD}/package.json`)),
    path.join(scope, path.basename(DASHBOARD)),
  );
}

function readFlow(file: string, port: number, variables: Record<string, string>): FlowNode[] {
  const shipped = fs.readFileSync(path.join(ROOT, 'examples/console', `${file}.json`), 'utf8');
  const flow = JSON.parse(shipped.replaceAll('"ota_console_', `"${Date.now().toString(16)}_`)) as FlowNode[];
  return flow.map((node) => {
    // Aedes speaks MQTT 3.1.1 only.
    if (node.type === 'mqtt-broker') return { ...node, port: String(port), protocolVersion: '4' };
    if (node.type !== 'tab') return node;
    const env = node['env'] as { name: string; value: string }[];
    return { ...node, env: env.map((one) => ({ ...one, value: variables[one.name] ?? one.value })) };
  });
}

/** Nothing fades or slides in it: a test would wait for the end of each. */
async function newContext(browser: Browser): Promise<BrowserContext> {
  const context = await browser.newContext();
  await context.addInitScript(() => {
    const style = document.createElement('style');
    style.textContent = '*, ::before, ::after { transition: none !important; animation: none !important; }';
    document.addEventListener('DOMContentLoaded', () => document.head.append(style));
  });
  return context;
}

/** Goes to another page of the console as a link on it does, without loading all of it again. False where it can't. */
function followLink(page: Page, address: string): Promise<boolean> {
  return page.evaluate(async (to) => {
    interface Router {
      push(place: string): Promise<unknown>;
    }
    interface App {
      __vue_app__?: { config: { globalProperties: { $router?: Router } } };
    }
    const url = new URL(to);
    const router = (document.getElementById('app') as App | null)?.__vue_app__?.config.globalProperties
      .$router;
    if (router === undefined || url.origin !== location.origin || url.pathname === location.pathname)
      return false;
    await router.push(url.pathname + url.search);
    // Vue has drawn the page when the turn of the event loop is over.
    await new Promise((drawn) => setTimeout(drawn));
    return true;
  }, address);
}

async function open(
  context: BrowserContext,
  url: () => string,
  place: string,
  { language = 'en-US', width = WIDE }: { language?: Language; width?: number },
): Promise<Person> {
  const page = await context.newPage();
  await page.setViewportSize({ width, height: 900 });
  page.setDefaultTimeout(120_000);
  const received: string[] = [];
  const sent: string[] = [];
  page.on('websocket', (socket) => {
    socket.on('framereceived', ({ payload }) => void received.push(payload.toString()));
    socket.on('framesent', ({ payload }) => void sent.push(payload.toString()));
  });
  // Socket.IO begins with requests and upgrades to a WebSocket: what a page asks first may go out by one of them.
  const isPolling = (url: string): boolean =>
    url.includes('/socket.io/') && url.includes('transport=polling');
  page.on('request', (request) => {
    if (isPolling(request.url())) sent.push(...(request.postData() ?? '').split(PACKETS));
  });
  page.on('response', (response) => {
    if (!isPolling(response.url())) return;
    // The page may be gone before the answer was read.
    response.text().then(
      (text) => void received.push(...text.split(PACKETS)),
      () => null,
    );
  });
  const say = (key: string, values?: Record<string, string | number>): string => word(language, key, values);
  const person: Person = {
    page,
    language,
    received,
    sent,
    word: say,
    async goto(to) {
      const address = `${url()}/dashboard/${to}${to.includes('?') ? '&' : '?'}lang=${language}`;
      if (!(await followLink(page, address))) await page.goto(address, { waitUntil: 'commit' });
      await page.locator('.ota-page h1').waitFor();
    },
    button: (key, values) => page.getByRole('button', { name: say(key, values), exact: true }),
    field: (key) => page.getByLabel(new RegExp(`^${escape(say(key))}( \\*)?$`)),
    rows: async () => (await page.locator('.ota-table tbody tr').allInnerTexts()).map((text) => text.trim()),
    row: (text) => page.locator('.ota-table tbody tr', { hasText: text }),
    dialog: page.locator('.v-dialog.v-overlay--active'),
    sees: (text) => page.getByText(text).first().waitFor(),
  };
  await person.goto(place);
  return person;
}

/** A page on a console that something else has started; what was loaded once needn't be loaded again. */
export async function openAt(
  url: string,
  place: string,
  options: { language?: Language } = {},
): Promise<Person> {
  const browser = await chromiumOnce();
  own ??= newContext(browser);
  return open(await own, () => url, place, options);
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** The bytes of an upload. */
export function bytesOf(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  for (let i = 0; i + 4 <= bytes; i += 4096) buffer.writeUInt32LE(i, i);
  return buffer;
}

/** Fills in the form of a new package and sends it. */
export async function beginUpload(person: Person, bytes: number, version: string): Promise<void> {
  // The browser reads the file while it sends it: the folder goes when everything ends.
  const folder = await temporaryFolder('ota-upload-');
  folders.push(folder);
  const file = path.join(folder.path, 'firmware.bin');
  fs.writeFileSync(file, bytesOf(bytes));
  await person.button('packages.add').first().click();
  await person.page.locator('input[type=file]').setInputFiles(file);
  await person.field('package.version').fill(version);
  await person.dialog.locator('button[type=submit]').click();
}

/** Adds a package through the page, and resolves when it stands in the table. */
export async function addPackage(person: Person, version: string, bytes = 10_000): Promise<void> {
  await person.goto('packages');
  await beginUpload(person, bytes, version);
  await person.row(version).waitFor();
}

/** Starts an upgrade of all devices through the page, and resolves with its id on the page of its devices. */
export async function startTask(
  person: Person,
  version: string,
  policy: Readonly<Record<string, string>> = {},
): Promise<string> {
  await person.goto('packages');
  await person
    .row(version)
    .getByRole('button', { name: person.word('packages.upgrade') })
    .click();
  if (Object.keys(policy).length > 0) await person.page.locator('summary').click();
  for (const [key, value] of Object.entries(policy)) await person.field(`policy.${key}`).fill(value);
  await person.button('tasks.start').click();
  await person.page.waitForURL(/\/devices\?.*task=/);
  await person.page.locator('.ota-tiles').waitFor();
  return new URL(person.page.url()).searchParams.get('task') ?? '';
}

/** What a device says. */
export function deviceTalk(device: TestClient): {
  inform(token: string, version: string, module?: string): Promise<void>;
  progress(token: string, step: number | string, desc?: string): Promise<void>;
} {
  let id = 0;
  return {
    inform: (token, version, module = 'default') =>
      device.publish(`/ota/device/inform/${token}`, { id: String((id += 1)), params: { version, module } }),
    progress: (token, step, desc = '') =>
      device.publish(`/ota/device/progress/${token}`, { step: String(step), desc }),
  };
}

/** Waits until a page's rows fit. */
export function rowsFit(person: Person, fits: (rows: string[]) => boolean, what: string): Promise<string[]> {
  return until(async () => {
    const rows = await person.rows();
    return fits(rows) ? rows : null;
  }, what);
}
