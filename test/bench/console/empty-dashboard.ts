/** A Dashboard with one page that holds one line of text: what the console's pages are measured against. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { FlowNode } from '../../../scripts/demo/flow';
import { startNodeRed } from '../../../scripts/demo/node-red';
import { nextFreePort } from '../../../scripts/demo/ports';

const TEXT = '<table class="ota-table"><tbody><tr><td>A line of text</td></tr></tbody></table>';

/** Resolves with the address of its page. */
export async function startEmptyDashboard(): Promise<{ url: string; stop: () => Promise<void> }> {
  const userDir = await fs.mkdtemp(path.join(os.tmpdir(), 'ota-empty-'));
  const red = await startNodeRed({ userDir, port: await nextFreePort(1980) });
  const stop = async (): Promise<void> => {
    await red.stop();
    await fs.rm(userDir, { recursive: true, force: true });
  };
  try {
    await red.deploy(FLOW);
    return { url: `${red.url}/dashboard/text`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const FLOW: readonly FlowNode[] = [
  { id: 'tab', type: 'tab', label: 'Text' },
  {
    id: 'base',
    type: 'ui-base',
    name: 'Dashboard',
    path: '/dashboard',
    acceptsClientConfig: ['ui-template'],
  },
  { id: 'theme', type: 'ui-theme', name: 'Theme', ...look() },
  { ...{ id: 'page', type: 'ui-page', name: 'Text', ui: 'base', theme: 'theme', path: '/text' }, ...shown() },
  { ...{ id: 'group', type: 'ui-group', name: 'Text', page: 'page', width: 6, height: 1 }, ...shown() },
  {
    ...{ id: 'text', type: 'ui-template', z: 'tab', group: 'group', name: '', x: 100, y: 100, wires: [[]] },
    ...{ format: TEXT, templateScope: 'local', order: 1, width: 0, height: 0, passthru: true },
  },
];

function look(): object {
  const colors = {
    surface: '#ffffff',
    primary: '#0094ce',
    bgPage: '#eeeeee',
    groupBg: '#ffffff',
    groupOutline: '#cccccc',
  };
  const sizes = { pagePadding: '12px', groupGap: '12px', groupBorderRadius: '4px', widgetGap: '12px' };
  return { colors, sizes };
}

function shown(): object {
  return { order: 1, layout: 'grid', icon: 'home', visible: true, disabled: false };
}
