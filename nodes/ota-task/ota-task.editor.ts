/** ota-task in the editor: a service, a store, and the policy of every task. */
import { takeTheOnly } from '../lib/red/editor/config-nodes';
import { dialogClosed, dialogOpened } from '../lib/red/editor/dialog';
import { openWhereWrong } from '../lib/red/editor/form';
import { paletteName } from '../lib/red/editor/palette';
import { textsOf } from '../lib/red/editor/texts';
import { anyText, entry } from '../lib/red/editor/validators';
import { POLICY, type Policy, TASK } from '../lib/rules';

const texts = textsOf('ota-task');

const policy = (name: keyof Policy): EditorProperty => entry(texts, `ota-task.label.${name}`, POLICY[name]);

RED.nodes.registerType('ota-task', {
  category: 'OTA',
  color: '#6FB8AC',
  defaults: {
    name: { value: '', label: texts('common.label.name'), validate: anyText(texts) },
    service: { value: '', type: 'ota-service', required: true, label: texts('common.label.service') },
    store: { value: '', type: 'ota-store', required: true, label: texts('ota-task.label.store') },
    success: policy('success'),
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
    startPaused: entry(texts, 'ota-task.label.startPaused', TASK.startPaused),
    settingsVersion: { value: '2', label: texts('common.label.settingsVersion'), validate: anyText(texts) },
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
    return texts(['ota-task.port.answer', 'ota-task.port.device', 'ota-task.port.task'][index] ?? '');
  },
  onadd() {
    takeTheOnly(this);
  },
  oneditprepare() {
    dialogOpened(this);
    openWhereWrong('#dialog-form');
  },
  oneditsave() {
    dialogClosed();
  },
  oneditcancel() {
    dialogClosed();
  },
});
