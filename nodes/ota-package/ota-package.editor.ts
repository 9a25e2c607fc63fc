/** ota-package in the editor: where packages are kept, and how devices reach them. */
import { dialogClosed, dialogOpened } from '../lib/red/editor/dialog';
import { prepareCredential } from '../lib/red/editor/form';
import { paletteName } from '../lib/red/editor/palette';
import { isVariable, textOf } from '../lib/red/editor/rules';
import { textsOf } from '../lib/red/editor/texts';
import { anyText, choice, number, refusal } from '../lib/red/editor/validators';

const texts = textsOf('ota-package');

/** What readBaseUrl of the runtime takes; a blank one is told by the status. */
const baseUrl: EditorValidator = (value, options) => {
  const text = textOf(value).trim();
  if (text === '' || isVariable(text)) return true;
  if (/^https?:\/\/[^/\\]/i.test(text) && URL.canParse(text) && !/[\s?#]/.test(text)) return true;
  return refusal(texts, options.label, texts('ota-package.reason.baseUrl'));
};

RED.nodes.registerType('ota-package', {
  category: 'OTA',
  color: '#6FB8AC',
  defaults: {
    name: { value: '', label: texts('common.label.name'), validate: anyText(texts) },
    baseUrl: { value: '', label: texts('ota-package.label.baseUrl'), validate: baseUrl },
    directory: { value: '', label: texts('ota-package.label.directory'), validate: anyText(texts) },
    signMethod: {
      value: 'SHA256',
      label: texts('ota-package.label.signMethod'),
      validate: choice(texts, ['SHA256', 'MD5']),
    },
    maxBytes: {
      value: '1073741824',
      label: texts('ota-package.label.maxBytes'),
      validate: number(texts, { min: 1, integer: true }),
    },
    settingsVersion: { value: '2', label: texts('common.label.settingsVersion'), validate: anyText(texts) },
  },
  credentials: {
    privateKey: {
      type: 'password',
      label: texts('ota-package.label.privateKey'),
      validate: anyText(texts),
    },
  },
  inputs: 1,
  outputs: 1,
  icon: 'ota-package.svg',
  paletteLabel: paletteName('ota-package'),
  label() {
    return this.name || texts('ota-package.name');
  },
  labelStyle() {
    return this.name ? 'node_label_italic' : '';
  },
  inputLabels() {
    return texts('ota-package.port.command');
  },
  outputLabels() {
    return texts('ota-package.port.answer');
  },
  oneditprepare() {
    dialogOpened(this);
    prepareCredential(this, 'privateKey');
  },
  oneditsave() {
    dialogClosed();
  },
  oneditcancel() {
    dialogClosed();
  },
});
