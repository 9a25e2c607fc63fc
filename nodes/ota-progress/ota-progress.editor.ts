/** ota-progress in the editor: progress reports on the platform, report progress on a device. */
import { takeTheOnly } from '../lib/red/editor/config-nodes';
import { dialogClosed, dialogOpened, dialogSaved } from '../lib/red/editor/dialog';
import { followSide, secretField } from '../lib/red/editor/form';
import { paletteName } from '../lib/red/editor/palette';
import { lookForServiceToken } from '../lib/red/editor/service-token';
import { textsOf } from '../lib/red/editor/texts';
import { accessToken, anyText, entry, number, sideOf, versionEntry } from '../lib/red/editor/validators';
import { PROGRESS } from '../lib/rules';

const texts = textsOf('ota-progress');

RED.nodes.registerType('ota-progress', {
  category: 'OTA',
  color: '#6FB8AC',
  defaults: {
    name: { value: '', label: texts('common.label.name'), validate: anyText(texts) },
    service: { value: '', type: 'ota-service', required: true, label: texts('common.label.service') },
    side: entry(texts, 'common.label.side', PROGRESS.side),
    module: { value: '', label: texts('common.label.module'), validate: anyText(texts) },
    minInterval: entry(texts, 'ota-progress.label.minInterval', PROGRESS.minInterval, 'device'),
    minDelta: entry(texts, 'ota-progress.label.minDelta', PROGRESS.minDelta, 'device'),
    maxInterval: entry(texts, 'ota-progress.label.maxInterval', PROGRESS.maxInterval, 'device'),
    keepFinalFor: entry(texts, 'ota-progress.label.keepFinalFor', PROGRESS.keepFinalFor, 'device'),
    inputs: { value: 0, label: texts('common.label.inputs'), validate: number(texts, { min: 0, max: 1 }) },
    outputs: { value: 1, label: texts('common.label.outputs'), validate: number(texts, { min: 1, max: 1 }) },
    settingsVersion: versionEntry(texts),
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
  onadd() {
    takeTheOnly(this);
  },
  oneditprepare() {
    dialogOpened(this);
    secretField(this, 'accessToken', texts);
    lookForServiceToken(this, texts);
    followSide((side) => ({ inputs: side === 'device' ? 1 : 0, outputs: 1 }));
  },
  oneditsave() {
    dialogSaved(this);
  },
  oneditcancel() {
    dialogClosed();
  },
});
