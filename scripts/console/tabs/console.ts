/** The tab of the console: its pages, what they may ask for, and what answers them. */
import {
  atStart,
  eachMinute,
  catchOf,
  comment,
  fn,
  linkIn,
  linkOut,
  otaNode,
  page,
  plain,
  siteWide,
  statusOf,
  style,
} from '../kinds';
import type { Tab } from '../nodes';
import { idOf, text } from '../nodes';
import { allWords } from '../words';

const UPLOADS = ['fs', 'os', 'path', 'process'];

/** `baseUrl` is where devices reach this Node-RED: it serves them the packages. */
const packagesNode = (key: string, name: string, at: readonly [number, number], to: string) =>
  otaNode('ota-package', key, name, at, [[to]], {
    directory: '',
    // eslint-disable-next-line no-template-curly-in-string -- Node-RED puts the tab's variable in
    baseUrl: '${BASE_URL}',
    signMethod: 'SHA256',
    maxBytes: '',
  });

export const consoleTab: Tab = {
  key: 'tab',
  label: 'OTA console',
  info: text('info/console.md'),
  env: [
    { name: 'BASE_URL', value: 'http://127.0.0.1:1880', type: 'str' },
    { name: 'UPLOAD_FOLDER', value: '', type: 'str' },
  ],
  groups: [
    {
      key: 'group_shell',
      name: 'On every page: words, tools, navigation, look',
      parts: [
        comment('about', 'Open /dashboard (and this tab’s description)', [0.6, 0], text('info/console.md')),
        siteWide('tools', 'Tools', [0, 1], [['words']]),
        plain('template', 'words', 'Words: English, 中文', [1, 1], [['tools']], {
          field: 'payload',
          fieldType: 'msg',
          format: 'json',
          syntax: 'plain',
          template: JSON.stringify(allWords(), null, 2),
          output: 'json',
        }),
        siteWide('wire', 'Wire to the flow', [2, 1], [[]]),
        siteWide('rules', 'Policies in words', [3, 1], [[]]),
        siteWide('shell', 'Navigation, notices', [4, 1], [[]]),
        linkIn('to_shell', 'trouble', [3.45, 0], ['from_trouble'], [['shell']]),
        siteWide('parts', 'Parts of pages', [0, 2], [[]]),
        siteWide('fields', 'Dialogs, fields', [1, 2], [[]]),
        siteWide('policies', 'Policies, preview', [2, 2], [[]]),
        siteWide('lists', 'Lists: packages, tasks', [3, 2], [[]]),
        siteWide('members', 'Devices of a task', [4, 2], [[]]),
        siteWide('charts', 'Bars, curves, log', [0, 3], [[]]),
        siteWide('cards', 'Cards of a task', [1, 3], [[]]),
        style('look', 'Look: page, navigation', [0, 4]),
        style('tables', 'Look: tables, tiles', [1, 4]),
        style('cards_look', 'Look: cards, charts', [2, 4], 'cards'),
        style('forms', 'Look: dialogs, fields', [3, 4]),
        style('narrow', 'Look: small screens', [4, 4]),
        style('policies_look', 'Look: policies', [3, 3], 'policies'),
      ],
    },
    {
      key: 'group_packages',
      name: 'Packages: list, upload, add, remove',
      parts: [
        linkIn(
          'to_packages',
          'to packages page',
          [0, 0],
          ['from_packages', 'from_tasks', 'from_fault'],
          [['to_packages_page']],
        ),
        fn('to_packages_page', 'for this page?', [0, 1], [['packages']], 'packages-page'),
        page('packages', 'Packages', [1, 0], [['packages_login']]),
        fn('packages_login', 'is the login whole?', [1, 1], [['packages_command']], 'login-check'),
        fn(
          'packages_command',
          'what may be asked',
          [2, 0],
          [['package'], ['append'], ['tidy'], ['tasks_command']],
          'packages-command',
          UPLOADS,
        ),
        packagesNode('package', 'packages', [3, 0], 'packages_answer'),
        plain('file', 'append', 'append slice', [3, 1], [['packages_answer']], {
          filename: 'filename',
          filenameType: 'msg',
          appendNewline: false,
          createDir: true,
          overwriteFile: 'false',
          encoding: 'none',
        }),
        fn('packages_answer', 'answer', [4, 0], [['from_packages'], ['tidy']], 'packages-answer'),
        linkOut('from_packages', 'answers', [5, 0], ['to_packages']),
        atStart('tidy_start', 'at start', [1, 3], [['tidy']]),
        eachMinute('tidy_clock', 'each minute', [1, 4], [['tidy']]),
        plain('ui-control', 'connections', 'browser went away', [2, 3], [['tidy']], {
          ui: idOf('ui'),
          events: 'connect',
        }),
        linkIn('to_tidy', 'broken uploads', [3, 4], ['from_broken'], [['tidy']]),
        fn('tidy', 'remove broken uploads', [4, 3], [], 'uploads-tidy', UPLOADS),
      ],
    },
    {
      key: 'group_tasks',
      name: 'Tasks and their devices',
      parts: [
        linkIn(
          'to_tasks',
          'to task pages',
          [0, 0],
          ['from_tasks', 'from_news', 'from_fault'],
          [['to_task_pages']],
        ),
        fn(
          'to_task_pages',
          'for which page?',
          [0, 1],
          [['fleet'], ['device'], ['tasks'], ['devices']],
          'tasks-page',
        ),
        page('fleet', 'Fleet', [1, 0], [['tasks_login']]),
        page('device', 'Device', [1, 1], [['tasks_login']]),
        page('tasks', 'Tasks', [1, 2], [['tasks_login']]),
        page('devices', 'Task', [1, 3], [['tasks_login']], 'task'),
        fn('tasks_login', 'is the login whole?', [0, 3], [['tasks_command']], 'login-check'),
        fn('tasks_command', 'what may be asked', [2, 0], [['task'], ['task_package']], 'tasks-command'),
        packagesNode('task_package', 'package', [3, 1], 'with_package'),
        fn('with_package', 'with its package', [4, 1], [['task'], ['tasks_answer']], 'tasks-package'),
        otaNode(
          'ota-task',
          'task',
          'tasks',
          [3, 0],
          [['tasks_answer'], ['tasks_changed'], ['tasks_changed']],
          {
            service: idOf('service'),
            store: idOf('store'),
          },
        ),
        fn('tasks_answer', 'answer', [4, 0], [['from_tasks'], ['tasks_changed']], 'tasks-answer'),
        linkOut('from_tasks', 'answers', [5, 0], ['to_tasks']),
        fn(
          'tasks_changed',
          'once a second',
          [4, 2],
          [['from_news']],
          'tasks-changed',
          [],
          "context.set('tasks', []);",
        ),
        linkOut('from_news', 'news for all', [5, 2], ['to_tasks']),
        statusOf('task_status', 'of tasks', [2, 4], ['task'], [['tasks_trouble']]),
        fn('tasks_trouble', 'do upgrades stand still?', [3, 4], [['from_trouble']], 'tasks-trouble'),
        linkOut('from_trouble', 'trouble', [4, 4], ['to_shell']),
      ],
    },
    {
      key: 'group_faults',
      name: 'What could not be done: told to the browser that asked',
      parts: [
        catchOf(
          'catch',
          'refused',
          [0, 0],
          [
            'package',
            'append',
            'packages_login',
            'packages_command',
            'task',
            'task_package',
            'tasks_login',
            'tasks_command',
          ],
          [['fault']],
        ),
        fn('fault', 'why', [1, 0], [['from_fault'], ['from_broken']], 'fault'),
        linkOut('from_fault', 'refusals', [2, 0], ['to_packages', 'to_tasks']),
        linkOut('from_broken', 'broken uploads', [2, 1], ['to_tidy']),
      ],
    },
  ],
};
