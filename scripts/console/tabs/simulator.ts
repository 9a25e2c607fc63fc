/** The tab of the simulated devices: they speak the protocol over the broker, like real ones. */
import { atStart, comment, fn, linkIn, linkOut, otaNode, page } from '../kinds';
import { idOf, text, type Tab } from '../nodes';

const device = { service: idOf('service'), side: 'device' };

export const simulatorTab: Tab = {
  key: 'simulator_tab',
  label: 'OTA simulator',
  info: text('info/simulator.md'),
  env: [{ name: 'SIMULATOR_FILE', value: 'ota/simulator.json', type: 'str' }],
  groups: [
    {
      key: 'group_controls',
      name: 'The page: controls, what the devices are doing',
      parts: [
        comment(
          'simulator_about',
          'Simulated devices (open this tab’s description)',
          [0.7, 0],
          text('info/simulator.md'),
        ),
        page('simulator', 'Simulator', [0, 1], [['simulator_login']]),
        fn('simulator_login', 'is the login whole?', [0, 2], [['simulator_command']], 'login-check'),
        fn(
          'simulator_command',
          'what may be asked',
          [1, 1],
          [['simulator'], ['simulator_wake']],
          'simulator-command',
        ),
        atStart('simulator_start', 'at start', [1, 2], [['simulator_wake']]),
        fn(
          'simulator_wake',
          'devices start',
          [2, 2],
          [['from_reports'], ['simulator_changed']],
          'simulator-wake',
          ['fs'],
        ),
        fn(
          'simulator_changed',
          'once a second',
          [3, 1],
          [['simulator_save']],
          'tasks-changed',
          [],
          "context.set('tasks', []);",
        ),
        fn('simulator_save', 'remember', [4, 1], [['simulator']], 'simulator-save', ['fs', 'path']),
        linkIn('to_changed', 'news', [2, 3], ['from_devices'], [['simulator_changed']]),
        linkOut('from_reports', 'reports', [3, 2], ['to_reports']),
      ],
    },
    {
      key: 'group_devices',
      name: 'The devices: sim-001, sim-002 …',
      parts: [
        otaNode('ota-push', 'simulator_push', 'receive upgrade', [0, 0], [['simulator_take']], {
          ...device,
          ...{
            rate: '',
            hold: false,
            allowUnsigned: false,
            inputs: 0,
            outputs: 1,
            credentials: { accessToken: '+' },
          },
        }),
        fn(
          'simulator_take',
          'ours, and its fate',
          [1, 0],
          [['simulator_verify'], ['from_devices']],
          'simulator-take',
        ),
        otaNode(
          'ota-verify',
          'simulator_verify',
          'download, verify',
          [2, 0],
          [['simulator_install'], ['simulator_download']],
          {
            source: 'url',
            directory: 'ota/simulator',
            downloadShare: '30',
            allowLocal: true,
            requireSign: true,
            concurrency: '4',
          },
        ),
        fn(
          'simulator_install',
          'install',
          [3, 0],
          [['simulator_progress'], ['simulator_inform'], ['from_devices']],
          'simulator-install',
        ),
        fn(
          'simulator_download',
          'percentage',
          [3, 1],
          [['simulator_progress'], ['from_devices']],
          'simulator-download',
        ),
        otaNode('ota-progress', 'simulator_progress', 'report progress', [4, 0], [[]], {
          ...device,
          ...{ module: '', minInterval: '', minDelta: '', maxInterval: '', inputs: 1, outputs: 1 },
          credentials: { accessToken: '+' },
        }),
        otaNode('ota-inform', 'simulator_inform', 'report version', [4, 1], [[]], {
          ...device,
          ...{
            module: '',
            version: '',
            atStart: false,
            inputs: 1,
            outputs: 1,
            credentials: { accessToken: '+' },
          },
        }),
        linkOut('from_devices', 'news', [4, 2], ['to_changed']),
        linkIn('to_reports', 'reports', [3, 2], ['from_reports'], [['simulator_inform']]),
      ],
    },
  ],
};
