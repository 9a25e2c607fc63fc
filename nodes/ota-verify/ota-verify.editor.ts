/** ota-verify in the editor: a package downloaded (or at hand) and checked before it is installed. */
import { dialogClosed, dialogOpened } from '../lib/red/editor/dialog';
import { openWhereWrong } from '../lib/red/editor/form';
import { textsOf } from '../lib/red/editor/texts';
import { anyText, choice, flag, number, rule } from '../lib/red/editor/validators';
import { hostsReason, publicKeysReason } from '../lib/red/editor/verify-rules';

const texts = textsOf('ota-verify');
const count = (min: number, max?: number): EditorValidator => number(texts, { min, max, integer: true });

RED.nodes.registerType('ota-verify', {
  category: 'OTA',
  color: '#6FB8AC',
  defaults: {
    name: { value: '', label: texts('common.label.name'), validate: anyText(texts) },
    source: {
      value: 'url',
      label: texts('ota-verify.label.source'),
      validate: choice(texts, ['url', 'file', 'buffer']),
    },
    directory: { value: '', label: texts('ota-verify.label.directory'), validate: anyText(texts) },
    downloadShare: { value: '90', label: texts('ota-verify.label.downloadShare'), validate: count(1, 100) },
    retries: { value: '7', label: texts('ota-verify.label.retries'), validate: count(0) },
    stallTimeout: {
      value: '30',
      label: texts('ota-verify.label.stallTimeout'),
      validate: number(texts, { min: 0.1, max: 2_000_000 }),
    },
    totalTimeout: {
      value: '3600',
      label: texts('ota-verify.label.totalTimeout'),
      validate: number(texts, { min: 0.1, max: 2_000_000 }),
    },
    maxBytes: { value: '1073741824', label: texts('ota-verify.label.maxBytes'), validate: count(1) },
    requireSign: { value: true, label: texts('ota-verify.label.requireSign'), validate: flag(texts) },
    allowedHosts: {
      value: '',
      label: texts('ota-verify.label.allowedHosts'),
      validate: rule(texts, (value) => hostsReason(value)),
    },
    allowLocal: { value: false, label: texts('ota-verify.label.allowLocal'), validate: flag(texts) },
    maxRedirects: { value: '3', label: texts('ota-verify.label.maxRedirects'), validate: count(0, 20) },
    tls: { value: '', type: 'tls-config', required: false, label: texts('ota-verify.label.tls') },
    publicKeys: {
      value: '',
      label: texts('ota-verify.label.publicKeys'),
      validate: rule(texts, (value) => publicKeysReason(value)),
    },
    rollback: {
      value: 'off',
      label: texts('ota-verify.label.rollback'),
      validate: choice(texts, ['off', 'refuse']),
    },
    concurrency: { value: '2', label: texts('ota-verify.label.concurrency'), validate: count(1, 64) },
    keep: { value: '2', label: texts('ota-verify.label.keep'), validate: count(1) },
    settingsVersion: { value: '2', label: texts('common.label.settingsVersion'), validate: anyText(texts) },
  },
  inputs: 1,
  outputs: 2,
  icon: 'ota-verify.svg',
  paletteLabel: 'ota\u2011verify',
  label() {
    return this.name || texts('ota-verify.name');
  },
  labelStyle() {
    return this.name ? 'node_label_italic' : '';
  },
  inputLabels() {
    return texts('ota-verify.port.upgrade');
  },
  outputLabels(index) {
    return texts(index === 0 ? 'ota-verify.port.verified' : 'ota-verify.port.progress');
  },
  oneditprepare() {
    dialogOpened(this);
    $('#node-input-source')
      .on('change', function () {
        $('#dialog-form .ota-url').toggle($(this).val() === 'url');
      })
      .trigger('change');
    openWhereWrong('#dialog-form');
  },
  oneditsave() {
    dialogClosed();
  },
  oneditcancel() {
    dialogClosed();
  },
});
