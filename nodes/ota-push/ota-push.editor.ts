/** ota-push in the editor: push an upgrade from the platform, receive it on a device. */
import { takeTheOnly } from '../lib/red/editor/config-nodes';
import { dialogClosed, dialogOpened, dialogSaved } from '../lib/red/editor/dialog';
import { followSide, secretField } from '../lib/red/editor/form';
import { lookForServiceToken } from '../lib/red/editor/service-token';
import { textsOf } from '../lib/red/editor/texts';
import { accessToken, anyText, entry, number, sideOf, versionEntry } from '../lib/red/editor/validators';
import { PUSH } from '../lib/rules';

const texts = textsOf('ota-push');

RED.nodes.registerType('ota-push', {
  category: 'OTA',
  color: '#6FB8AC',
  defaults: {
    name: { value: '', label: texts('common.label.name'), validate: anyText(texts) },
    service: { value: '', type: 'ota-service', required: true, label: texts('common.label.service') },
    side: entry(texts, 'common.label.side', PUSH.side),
    // Blank reads better than 0 as "no limit".
    rate: { ...entry(texts, 'ota-push.label.rate', PUSH.rate, 'platform'), value: '' },
    // Blank reads better than 0 as "never".
    expiry: { ...entry(texts, 'ota-push.label.expiry', PUSH.expiry, 'platform'), value: '' },
    hold: entry(texts, 'ota-push.label.hold', PUSH.hold),
    keepInWork: entry(texts, 'ota-push.label.keepInWork', PUSH.keepInWork),
    maxAttempts: entry(texts, 'ota-push.label.maxAttempts', PUSH.maxAttempts, 'device'),
    workTimeout: entry(texts, 'ota-push.label.workTimeout', PUSH.workTimeout, 'device'),
    parallel: entry(texts, 'ota-push.label.parallel', PUSH.parallel, 'device'),
    askAtStart: entry(texts, 'ota-push.label.askAtStart', PUSH.askAtStart),
    allowUnsigned: entry(texts, 'ota-push.label.allowUnsigned', PUSH.allowUnsigned),
    inputs: { value: 1, label: texts('common.label.inputs'), validate: number(texts, { min: 0, max: 1 }) },
    outputs: { value: 2, label: texts('common.label.outputs'), validate: number(texts, { min: 1, max: 2 }) },
    settingsVersion: versionEntry(texts),
  },
  credentials: {
    accessToken: {
      type: 'password',
      label: texts('common.label.accessToken'),
      validate: accessToken(texts, { required: true }),
    },
  },
  inputs: 1,
  outputs: 2,
  icon: 'ota-push.svg',
  paletteLabel: 'ota\u2011push',
  label() {
    return this.name || texts(`ota-push.name.${sideOf(this)}`);
  },
  labelStyle() {
    return this.name ? 'node_label_italic' : '';
  },
  inputLabels() {
    return texts(sideOf(this) === 'device' ? 'ota-push.port.release' : 'ota-push.port.upgrade');
  },
  outputLabels(index) {
    if (sideOf(this) === 'device') return texts('ota-push.port.received');
    return texts(index === 0 ? 'ota-push.port.pushed' : 'ota-push.port.notDelivered');
  },
  onadd() {
    takeTheOnly(this);
  },
  oneditprepare() {
    dialogOpened(this);
    secretField(this, 'accessToken', texts);
    lookForServiceToken(this, texts);
    followSide((side) => {
      return side === 'platform' ? { inputs: 1, outputs: 2 } : { inputs: 1, outputs: 1 };
    });
  },
  oneditsave() {
    dialogSaved(this);
  },
  oneditcancel() {
    dialogClosed();
  },
});
