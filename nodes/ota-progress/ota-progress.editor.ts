/** ota-progress in the editor: progress reports on the platform, report progress on a device. */
import { dialogClosed, dialogOpened } from '../lib/red/editor/dialog';
import { followSide, prepareCredential } from '../lib/red/editor/form';
import { paletteName } from '../lib/red/editor/palette';
import { textsOf } from '../lib/red/editor/texts';
import { accessToken, anyText, choice, number, sideOf } from '../lib/red/editor/validators';

const texts = textsOf('ota-progress');

RED.nodes.registerType('ota-progress', {
  category: 'OTA',
  color: '#6FB8AC',
  defaults: {
    name: { value: '', label: texts('common.label.name'), validate: anyText(texts) },
    service: { value: '', type: 'ota-service', required: true, label: texts('common.label.service') },
    side: {
      value: 'platform',
      label: texts('common.label.side'),
      validate: choice(texts, ['platform', 'device']),
    },
    module: { value: '', label: texts('common.label.module'), validate: anyText(texts) },
    minInterval: {
      value: '1',
      label: texts('ota-progress.label.minInterval'),
      validate: number(texts, { min: 0 }, 'device'),
    },
    minDelta: {
      value: '5',
      label: texts('ota-progress.label.minDelta'),
      validate: number(texts, { min: 0, max: 100 }, 'device'),
    },
    maxInterval: {
      value: '60',
      label: texts('ota-progress.label.maxInterval'),
      validate: number(texts, { min: 0 }, 'device'),
    },
    keepFinalFor: {
      value: '86400',
      label: texts('ota-progress.label.keepFinalFor'),
      validate: number(texts, { min: 1 }, 'device'),
    },
    inputs: { value: 0, label: texts('common.label.inputs'), validate: number(texts, { min: 0, max: 1 }) },
    outputs: { value: 1, label: texts('common.label.outputs'), validate: number(texts, { min: 1, max: 1 }) },
    settingsVersion: { value: '2', label: texts('common.label.settingsVersion'), validate: anyText(texts) },
  },
  credentials: {
    accessToken: {
      type: 'password',
      label: texts('common.label.accessToken'),
      validate: accessToken(texts, { required: false }),
    },
  },
  inputs: 0,
  outputs: 1,
  icon: 'ota-progress.svg',
  paletteLabel: paletteName('ota-progress'),
  label() {
    return this.name || texts(`ota-progress.name.${sideOf(this)}`);
  },
  labelStyle() {
    return this.name ? 'node_label_italic' : '';
  },
  inputLabels() {
    return texts('ota-progress.port.input');
  },
  outputLabels() {
    return texts(`ota-progress.port.${sideOf(this)}`);
  },
  oneditprepare() {
    dialogOpened(this);
    prepareCredential(this, 'accessToken');
    followSide((side) => ({ inputs: side === 'device' ? 1 : 0, outputs: 1 }));
  },
  oneditsave() {
    dialogClosed();
  },
  oneditcancel() {
    dialogClosed();
  },
});
