/**
 * Puts the console's flows together from the readable parts in this folder. The files in examples/console are
 * made by this and by nothing else.
 */
import path from 'node:path';
import { version as dashboard } from '@flowfuse/node-red-dashboard/package.json';
import { format, resolveConfig } from 'prettier';
import { ROOT } from '../build/paths';
import { type FlowNode, idOf, layOut, type Tab } from './nodes';
import { consoleTab } from './tabs/console';
import { simulatorTab } from './tabs/simulator';

/** In the order of the navigation; those of one task and of one device have no place there. */
const PAGES_OF_CONSOLE = ['fleet', 'tasks', 'packages', 'devices', 'device'];
const DASHBOARD = '@flowfuse/node-red-dashboard';

/** The flows, by their file's path below examples/. */
export function flows(): ReadonlyMap<string, readonly FlowNode[]> {
  return new Map([
    ['console/console.json', flow([consoleTab], PAGES_OF_CONSOLE)],
    [
      'console/console-and-simulator.json',
      flow([consoleTab, simulatorTab], [...PAGES_OF_CONSOLE, 'simulator']),
    ],
  ]);
}

/** The text of a flow's file, laid out as everything in this project. */
export async function print(nodes: readonly FlowNode[]): Promise<string> {
  const style = await resolveConfig(path.join(ROOT, 'package.json'));
  return format(JSON.stringify(nodes, null, 2), { ...style, parser: 'json' });
}

function flow(tabs: readonly Tab[], pages: readonly string[]): FlowNode[] {
  // A config node before those that use it: the editor counts a node's users as it imports them.
  return [...tabs.flatMap(layOut), ...SHARED, ...pages.flatMap(pageNodes), modules()];
}

/** The importer offers to install what this names. */
function modules(): FlowNode {
  return { id: idOf('modules'), type: 'global-config', env: [], modules: { [DASHBOARD]: dashboard } };
}

const PAGES: Readonly<Record<string, { name: string; icon: string }>> = {
  fleet: { name: 'OTA fleet', icon: 'devices' },
  tasks: { name: 'OTA tasks', icon: 'rocket-launch-outline' },
  packages: { name: 'OTA packages', icon: 'package-variant' },
  devices: { name: 'OTA task', icon: 'rocket-launch-outline' },
  device: { name: 'OTA device', icon: 'devices' },
  simulator: { name: 'OTA simulator', icon: 'robot-outline' },
};

function pageNodes(key: string, i: number): FlowNode[] {
  const { name, icon } = PAGES[key] ?? { name: key, icon: 'home' };
  const page: FlowNode = {
    id: idOf(`${key}_page`),
    type: 'ui-page',
    name,
    ui: idOf('ui'),
    path: `/${key}`,
    icon,
    layout: 'grid',
    theme: idOf('theme'),
    breakpoints: [
      { name: 'Default', px: '0', cols: '3' },
      { name: 'Tablet', px: '576', cols: '6' },
      { name: 'Small Desktop', px: '768', cols: '9' },
      { name: 'Desktop', px: '1024', cols: '12' },
    ],
    order: i + 1,
    className: '',
    visible: 'true',
    disabled: 'false',
  };
  const group: FlowNode = {
    id: idOf(`${key}_group`),
    type: 'ui-group',
    name,
    page: idOf(`${key}_page`),
    width: '12',
    height: '1',
    order: 1,
    showTitle: false,
    className: '',
    visible: 'true',
    disabled: 'false',
    groupType: 'default',
  };
  return [page, group];
}

/** Every widget that Dashboard has: one that were missing here would show one browser's answers to another. */
const WIDGETS =
  'audio button button-group chart control dropdown event file-input form gauge iframe led markdown notification ' +
  'number-input progress radio-group slider spacer switch table template text text-input';

const SHARED: readonly FlowNode[] = [
  {
    id: idOf('ui'),
    type: 'ui-base',
    name: 'OTA console',
    path: '/dashboard',
    appIcon: '',
    includeClientData: true,
    acceptsClientConfig: WIDGETS.split(' ').map((widget) => `ui-${widget}`),
    showPathInSidebar: false,
    headerContent: 'none',
    navigationStyle: 'none',
    titleBarStyle: 'fixed',
    showReconnectNotification: false,
    notificationDisplayTime: 1,
    showDisconnectNotification: false,
    allowInstall: false,
  },
  {
    id: idOf('theme'),
    type: 'ui-theme',
    name: 'OTA console',
    colors: {
      surface: '#ffffff',
      primary: '#0b5cad',
      bgPage: '#f4f6f9',
      groupBg: '#ffffff',
      groupOutline: '#dde2ea',
    },
    sizes: {
      density: 'default',
      pagePadding: '16px',
      groupGap: '12px',
      groupBorderRadius: '12px',
      widgetGap: '12px',
    },
  },
  {
    id: idOf('broker'),
    type: 'mqtt-broker',
    name: '',
    broker: '127.0.0.1',
    port: '1883',
    clientid: '',
    autoConnect: true,
    usetls: false,
    protocolVersion: '5',
    keepalive: '60',
    cleansession: true,
    autoUnsubscribe: true,
    birthTopic: '',
    birthQos: '0',
    birthPayload: '',
    birthMsg: {},
    closeTopic: '',
    closeQos: '0',
    closePayload: '',
    closeMsg: {},
    willTopic: '',
    willQos: '0',
    willPayload: '',
    willMsg: {},
    userProps: '',
    sessionExpiry: '',
  },
  {
    id: idOf('service'),
    type: 'ota-service',
    name: '',
    broker: idOf('broker'),
    scheme: 'thingspanel',
    informTopic: '',
    upgradeTopic: '',
    progressTopic: '',
    clientId: '',
    persistent: true,
    shareGroup: '',
    window: '200',
    signMethodCase: 'Md5',
    settingsVersion: '2',
  },
  { id: idOf('store'), type: 'ota-store', name: '', driver: 'sqlite', file: '', settingsVersion: '2' },
];
