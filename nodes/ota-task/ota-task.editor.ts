/** ota-task in the editor: a service, a store, and the policy of every task. */
import { dialogClosed, dialogOpened } from '../lib/red/editor/dialog';
import { openWhereWrong } from '../lib/red/editor/form';
import { paletteName } from '../lib/red/editor/palette';
import { MAX_SECONDS, versionsReason, wavesReason, windowReason } from '../lib/red/editor/policy-rules';
import { textsOf } from '../lib/red/editor/texts';
import { anyText, choice, flag, number, rule } from '../lib/red/editor/validators';

const texts = textsOf('ota-task');

const seconds = (name: string, value: string, min = 0.1): EditorProperty => ({
  value,
  label: texts(`ota-task.label.${name}`),
  validate: number(texts, { min, max: MAX_SECONDS }),
});

const whole = (name: string, value: string, min: number, max = 100_000_000): EditorProperty => ({
  value,
  label: texts(`ota-task.label.${name}`),
  validate: number(texts, { min, max, integer: true }),
});

const percent = (name: string, value: string): EditorProperty => ({
  value,
  label: texts(`ota-task.label.${name}`),
  validate: number(texts, { min: 0, max: 100 }),
});

RED.nodes.registerType('ota-task', {
  category: 'OTA',
  color: '#6FB8AC',
  defaults: {
    name: { value: '', label: texts('common.label.name'), validate: anyText(texts) },
    service: { value: '', type: 'ota-service', required: true, label: texts('common.label.service') },
    store: { value: '', type: 'ota-store', required: true, label: texts('ota-task.label.store') },
    success: {
      value: 'progress',
      label: texts('ota-task.label.success'),
      validate: choice(texts, ['progress', 'version']),
    },
    offline: {
      value: 'fail',
      label: texts('ota-task.label.offline'),
      validate: choice(texts, ['fail', 'wait']),
    },
    waitLimit: seconds('waitLimit', '604800', 1),
    seenWithin: seconds('seenWithin', '2592000', 1),
    repush: whole('repush', '3', 0, 1000),
    noResponse: seconds('noResponse', '300'),
    stalled: seconds('stalled', '1800'),
    confirm: seconds('confirm', '600', 0),
    retries: whole('retries', '0', 0, 1000),
    retryDelay: seconds('retryDelay', '60', 0),
    perMinute: {
      value: '1000',
      label: texts('ota-task.label.perMinute'),
      validate: number(texts, { min: 0, max: 10_000_000 }),
    },
    concurrency: whole('concurrency', '0', 0),
    waves: { value: '100', label: texts('ota-task.label.waves'), validate: rule(texts, wavesReason) },
    successThreshold: percent('successThreshold', '100'),
    failureThreshold: percent('failureThreshold', '0'),
    minExecuted: whole('minExecuted', '10', 1),
    onFailure: {
      value: 'pause',
      label: texts('ota-task.label.onFailure'),
      validate: choice(texts, ['pause', 'cancel']),
    },
    window: { value: '', label: texts('ota-task.label.window'), validate: rule(texts, windowReason) },
    skipCurrent: { value: true, label: texts('ota-task.label.skipCurrent'), validate: flag(texts) },
    fromVersions: {
      value: '',
      label: texts('ota-task.label.fromVersions'),
      validate: rule(texts, versionsReason),
    },
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
