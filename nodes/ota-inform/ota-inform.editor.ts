/** ota-inform in the editor: version reports on the platform, report a version on a device. */
import { takeTheOnly } from '../lib/red/editor/config-nodes';
import { current, dialogClosed, dialogOpened, dialogSaved } from '../lib/red/editor/dialog';
import { followSide, secretField } from '../lib/red/editor/form';
import { lookForServiceToken } from '../lib/red/editor/service-token';
import { textsOf } from '../lib/red/editor/texts';
import {
  accessToken,
  anyText,
  check,
  entry,
  number,
  sideOf,
  versionEntry,
} from '../lib/red/editor/validators';
import { INFORM, textOf } from '../lib/rules';

const texts = textsOf('ota-inform');

RED.nodes.registerType('ota-inform', {
  category: 'OTA',
  color: '#6FB8AC',
  defaults: {
    name: { value: '', label: texts('common.label.name'), validate: anyText(texts) },
    service: { value: '', type: 'ota-service', required: true, label: texts('common.label.service') },
    side: entry(texts, 'common.label.side', INFORM.side),
    module: { value: '', label: texts('common.label.module'), validate: anyText(texts) },
    version: {
      value: '',
      label: texts('ota-inform.label.version'),
      validate: check(texts, (value, node) => {
        const wanted = sideOf(node) === 'device' && current(node, 'atStart') === true;
        return wanted && textOf(value) === '' ? { key: 'versionAtStart' } : null;
      }),
    },
    atStart: entry(texts, 'ota-inform.label.atStart', INFORM.atStart),
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
  icon: 'ota-inform.svg',
  paletteLabel: 'ota\u2011inform',
  label() {
    return this.name || texts(`ota-inform.name.${sideOf(this)}`);
  },
  labelStyle() {
    return this.name ? 'node_label_italic' : '';
  },
  inputLabels() {
    return texts('ota-inform.port.input');
  },
  outputLabels() {
    return texts(`ota-inform.port.${sideOf(this)}`);
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
