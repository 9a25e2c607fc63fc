/** ota-task in the editor: how devices are reached, a store, and the policy of every task. */
import { takeTheOnly } from '../lib/red/editor/config-nodes';
import { current, dialogClosed, dialogOpened, dialogSaved } from '../lib/red/editor/dialog';
import { openWhereWrong } from '../lib/red/editor/form';
import { paletteName } from '../lib/red/editor/palette';
import { textsOf } from '../lib/red/editor/texts';
import { anyText, configNode, entry, number, versionEntry } from '../lib/red/editor/validators';
import { POLICY, type Policy, TASK } from '../lib/rules';

const texts = textsOf('ota-task');

const own = (name: keyof typeof TASK): EditorProperty => entry(texts, `ota-task.label.${name}`, TASK[name]);
const policy = (name: keyof Policy): EditorProperty => entry(texts, `ota-task.label.${name}`, POLICY[name]);

/** No service: devices are reached by flows. */
const byWires = (node: EditorNode): boolean => current(node, 'transport') === 'wires';

const PORTS = ['answer', 'device', 'task', 'push'];

/** Shows the rows of the chosen way and sets the ports: by wires a fourth output gives the pushes. */
function followTransport(): void {
  const transport = $('#node-input-transport');
  const update = (): void => {
    const wires = transport.val() === 'wires';
    $('#dialog-form .ota-mqtt').toggle(!wires);
    $('#dialog-form .ota-wires').toggle(wires);
    $('#node-input-outputs').val(wires ? 4 : 3);
  };
  transport.on('change', update);
  update();
}

RED.nodes.registerType('ota-task', {
  category: 'OTA',
  color: '#6FB8AC',
  defaults: {
    name: { value: '', label: texts('common.label.name'), validate: anyText(texts) },
    transport: own('transport'),
    service: {
      value: '',
      type: 'ota-service',
      label: texts('common.label.service'),
      validate: configNode((node) => !byWires(node)),
    },
    fleet: own('fleet'),
    store: { value: '', type: 'ota-store', required: true, label: texts('ota-task.label.store') },
    labelsFrom: own('labelsFrom'),
    success: own('success'),
    offline: policy('offline'),
    waitLimit: policy('waitLimit'),
    seenWithin: policy('seenWithin'),
    repush: policy('repush'),
    noResponse: policy('noResponse'),
    stalled: policy('stalled'),
    confirm: policy('confirm'),
    retries: policy('retries'),
    retryDelay: policy('retryDelay'),
    perMinute: policy('perMinute'),
    concurrency: policy('concurrency'),
    waves: policy('waves'),
    successThreshold: policy('successThreshold'),
    failureThreshold: policy('failureThreshold'),
    minExecuted: policy('minExecuted'),
    onFailure: policy('onFailure'),
    window: policy('window'),
    skipCurrent: policy('skipCurrent'),
    fromVersions: policy('fromVersions'),
    waveAdvance: policy('waveAdvance'),
    soak: policy('soak'),
    afterWave: policy('afterWave'),
    maxWaiting: policy('maxWaiting'),
    supersede: policy('supersede'),
    retryOn: policy('retryOn'),
    retryBackoff: policy('retryBackoff'),
    startPaused: own('startPaused'),
    outputs: { value: 3, label: texts('common.label.outputs'), validate: number(texts, { min: 3, max: 4 }) },
    settingsVersion: versionEntry(texts),
  },
  inputs: 1,
  outputs: 3,
  icon: 'ota-task.svg',
  paletteLabel: paletteName('ota-task'),
  label() {
    return this.name || texts('ota-task.name');
  },
  labelStyle() {
    return this.name ? 'node_label_italic' : '';
  },
  inputLabels() {
    return texts('ota-task.port.command');
  },
  outputLabels(index) {
    return texts(`ota-task.port.${PORTS[index] ?? ''}`);
  },
  onadd() {
    takeTheOnly(this);
  },
  oneditprepare() {
    dialogOpened(this);
    followTransport();
    openWhereWrong('#dialog-form');
  },
  oneditsave() {
    dialogSaved(this);
  },
  oneditcancel() {
    dialogClosed();
  },
});
