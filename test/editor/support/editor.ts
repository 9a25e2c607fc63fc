/** Node-RED's editor in a real Chromium, steered as a person would: palette, canvas, dialogs, Deploy. */
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { build } from '../../../scripts/build';
import { ROOT } from '../../../scripts/build/paths';
import { startChromium } from '../../support/browser';
import { type NodeRed, startNodeRed } from '../../support/node-red';
import { temporaryFolder, type TemporaryFolder } from '../../support/temporary-folder';

/** A node as the editor holds it. */
export interface CanvasNode {
  readonly id: string;
  readonly label: string;
  readonly valid: boolean;
  readonly changed: boolean;
  /** What is wrong with it, as the editor tells it. */
  readonly reasons: readonly string[];
  readonly inputs: number;
  readonly outputs: number;
  /** The settings, as Deploy would write them. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Ids of the nodes wired to its input, and from its outputs as `port:id`. */
  readonly from: readonly string[];
  readonly to: readonly string[];
}

interface EditorLink {
  source: { id: string };
  target: { id: string };
  sourcePort: number;
}

/** Where a node stands: its middle and its size, once it was drawn. */
interface DrawnNode {
  id: string;
  type: string;
  x: number;
  y: number;
  w: number;
  h: number;
}

/** What of the editor's own API is looked at or used to set a scene. */
interface RedApi {
  nodes: {
    node(id: string): unknown;
    getType(type: string): { defaults: object } | undefined;
    clear(): void;
    import(flows: unknown, options: { generateIds: boolean; addFlow?: boolean }): void;
    eachNode(visit: (node: DrawnNode) => void): void;
    eachConfig(visit: (node: { type: string; users: unknown[] }) => void): void;
    filterLinks(filter: object): EditorLink[];
    convertNode(node: unknown, options: { credentials: boolean }): Record<string, unknown>;
    dirty(value?: boolean): boolean;
  };
  view: {
    redraw(all?: boolean): void;
    importNodes(nodes: unknown, options: { generateIds: boolean; addFlow: boolean; notify: boolean }): void;
  };
  workspaces: { show(id: string): void; active(): string };
  history: { pop(): void };
  sidebar: { help: { show(type: string): void } };
  utils: { getNodeLabel(node: unknown, byDefault?: string): string };
}

declare global {
  // The page's global, seen by functions that run there.
  var RED: RedApi;
}

export interface Editor {
  readonly page: Page;
  /** Puts a flow on the canvas in place of what is there. */
  show(flows: readonly object[]): Promise<void>;
  node(id: string): Promise<CanvasNode>;
  /** Pairs of nodes on the canvas of which one covers the other, or touches it. */
  covered(): Promise<string[]>;
  /** Drags a node from the palette and resolves with its id. */
  drag(type: string): Promise<string>;
  /** Opens a node's dialog by a double click. */
  open(id: string): Promise<void>;
  /** Sets a field of the open dialog as a person does: types, ticks, chooses. */
  fill(field: string, value: string | boolean): Promise<void>;
  done(): Promise<void>;
  cancel(): Promise<void>;
  /** A field of the open dialog. */
  field(name: string): Locator;
  /** Deploys by the button and waits until it was accepted. */
  deploy(): Promise<void>;
  undo(): Promise<void>;
  /** The text under a node, once it is (or matches) what is waited for. */
  status(id: string, text: string | RegExp): Promise<string>;
  /** The help of a type in the sidebar. */
  help(type: string): Promise<{ text: string; headings: string[] }>;
}

export interface EditorHost {
  readonly nodeRed: NodeRed;
  /** A window in this language. */
  open(language: string): Promise<Editor>;
  stop(): Promise<void>;
}

/** Starts Node-RED with this project's nodes, and a browser. */
export async function startEditor(): Promise<EditorHost> {
  await build();
  const folder = await temporaryFolder('ota-editor-');
  let nodeRed: NodeRed | undefined;
  try {
    nodeRed = await startNodeRed({ userDir: folder.path, nodesDir: [ROOT], flows: [] });
    return host(nodeRed, await startChromium(), folder);
  } catch (error) {
    await nodeRed?.stop();
    await folder.stop();
    throw error;
  }
}

function host(nodeRed: NodeRed, browser: Browser, folder: TemporaryFolder): EditorHost {
  const contexts: BrowserContext[] = [];
  return {
    nodeRed,
    async open(language) {
      const context = await browser.newContext({ locale: language, viewport: { width: 1400, height: 900 } });
      contexts.push(context);
      // Other tests have the processors beside it: what takes this long hangs.
      context.setDefaultTimeout(120_000);
      const page = await context.newPage();
      await page.goto(nodeRed.url);
      await page.waitForFunction(() => globalThis.RED.nodes.getType('ota-verify') !== undefined);
      await page.locator('#red-ui-loading-progress').waitFor({ state: 'hidden' });
      return control(page);
    },
    async stop() {
      for (const context of contexts) await context.close();
      await browser.close();
      await nodeRed.stop();
      await folder.stop();
    },
  };
}

function control(page: Page): Editor {
  const tray = page.locator('.red-ui-tray').last();
  const field = (name: string): Locator =>
    tray.locator(`#node-input-${name}, #node-config-input-${name}`).first();
  const closeTray = async (button: string): Promise<void> => {
    const closing = await tray.elementHandle();
    await tray.locator(button).click();
    await page.waitForFunction((element) => !element.isConnected, closing);
  };
  const canvas = (id: string): Locator => page.locator(`[id="${id}"]`);
  const editor: Editor = {
    page,
    field,
    async show(flows) {
      await page.evaluate((all) => {
        RED.nodes.clear();
        RED.nodes.import([{ id: 'tab', type: 'tab', label: 'Test' }, ...all], { generateIds: false });
        RED.workspaces.show('tab');
        RED.nodes.dirty(true);
        RED.view.redraw(true);
      }, flows);
    },
    node: (id) => page.evaluate(readNode, id),
    covered: () => page.evaluate(findCovered),
    async drag(type) {
      const ids = (): Promise<string[]> =>
        page.evaluate((wanted) => {
          const found: string[] = [];
          RED.nodes.eachNode((node) => {
            if (node.type === wanted) found.push(node.id);
          });
          return found;
        }, type);
      const before = await ids();
      const source = page.locator(`.red-ui-palette-node[data-palette-type="${type}"]`);
      await source.scrollIntoViewIfNeeded();
      const from = await source.boundingBox();
      const to = await page.locator('#red-ui-workspace-chart').boundingBox();
      if (from === null || to === null) throw new Error(`No ${type} in the palette`);
      await page.mouse.move(from.x + 60, from.y + 10);
      await page.mouse.down();
      await page.mouse.move(to.x + 200, to.y + 100, { steps: 8 });
      await page.mouse.move(to.x + 300, to.y + 200, { steps: 8 });
      await page.mouse.up();
      const added = (await ids()).filter((id) => !before.includes(id));
      if (added.length !== 1) throw new Error(`${added.length} nodes came of dragging ${type}`);
      return added[0] as string;
    },
    async open(id) {
      await canvas(id).locator('.red-ui-flow-node').dblclick();
      await tray.locator('#node-dialog-ok').waitFor();
      await page.locator('.red-ui-tray-opening, .red-ui-tray-animating').waitFor({ state: 'detached' });
      await field('name').waitFor();
    },
    async fill(name, value) {
      const input = field(name);
      if (typeof value === 'boolean') await input.setChecked(value);
      else if ((await input.evaluate((element) => element.tagName)) === 'SELECT') {
        await input.selectOption(value);
      } else await input.fill(value);
      await input.dispatchEvent('change');
    },
    done: () => closeTray('#node-dialog-ok, #node-config-dialog-ok'),
    cancel: () => closeTray('#node-dialog-cancel, #node-config-dialog-cancel'),
    async deploy() {
      await page.locator('#red-ui-header-button-deploy').click();
      await page.waitForFunction(() => !RED.nodes.dirty());
    },
    undo: () => page.evaluate(() => RED.history.pop()),
    async status(id, text) {
      const label = canvas(id).locator('.red-ui-flow-node-status-label').filter({ hasText: text });
      await label.waitFor({ timeout: 60_000 });
      return (await label.textContent()) ?? '';
    },
    async help(type) {
      await page.evaluate((wanted) => RED.sidebar.help.show(wanted), type);
      // The heading is the name in the palette, with a hyphen that doesn't break.
      const title = new RegExp(type.replace('-', '.{1,2}'));
      const help = page.locator('.red-ui-help').filter({ has: page.locator('h1', { hasText: title }) });
      await help.waitFor();
      return { text: await help.innerText(), headings: await help.locator('h3').allInnerTexts() };
    },
  };
  return editor;
}

/** Runs in the page. */
function findCovered(): string[] {
  const nodes: DrawnNode[] = [];
  RED.nodes.eachNode((node) => void nodes.push(node));
  return nodes.flatMap((a, i) =>
    nodes
      .slice(i + 1)
      .filter((b) => Math.abs(a.x - b.x) <= (a.w + b.w) / 2 && Math.abs(a.y - b.y) <= (a.h + b.h) / 2)
      .map((b) => `${a.id} and ${b.id}`),
  );
}

/** Runs in the page. */
function readNode(id: string): CanvasNode {
  const node = RED.nodes.node(id) as {
    id: string;
    valid: boolean;
    changed?: boolean;
    validationErrors?: string[];
    inputs: number;
    outputs: number;
  };
  const links = RED.nodes.filterLinks({});
  return {
    id,
    label: RED.utils.getNodeLabel(node),
    valid: node.valid,
    changed: node.changed === true,
    reasons: node.validationErrors ?? [],
    inputs: node.inputs,
    outputs: node.outputs,
    settings: RED.nodes.convertNode(node, { credentials: false }),
    from: links.filter((link) => link.target.id === id).map((link) => link.source.id),
    to: links
      .filter((link) => link.source.id === id)
      .map((link) => `${link.sourcePort}:${link.target.id}`)
      .sort(),
  };
}
