/** ota-package in the editor: where packages are kept, and how devices reach them. */
import { dialogClosed, dialogOpened, dialogSaved } from '../lib/red/editor/dialog';
import { secretField } from '../lib/red/editor/form';
import { paletteName } from '../lib/red/editor/palette';
import { textsOf } from '../lib/red/editor/texts';
import { anyText, entry, versionEntry } from '../lib/red/editor/validators';
import { PACKAGE } from '../lib/rules';

const texts = textsOf('ota-package');

RED.nodes.registerType('ota-package', {
  category: 'OTA',
  color: '#6FB8AC',
  defaults: {
    name: { value: '', label: texts('common.label.name'), validate: anyText(texts) },
    baseUrl: entry(texts, 'ota-package.label.baseUrl', PACKAGE.baseUrl),
    directory: { value: '', label: texts('ota-package.label.directory'), validate: anyText(texts) },
    signMethod: entry(texts, 'ota-package.label.signMethod', PACKAGE.signMethod),
    maxBytes: entry(texts, 'ota-package.label.maxBytes', PACKAGE.maxBytes),
    allowedHosts: entry(texts, 'ota-package.label.allowedHosts', PACKAGE.allowedHosts),
    allowLocal: entry(texts, 'ota-package.label.allowLocal', PACKAGE.allowLocal),
    privateKeyFile: { value: '', label: texts('ota-package.label.privateKeyFile'), validate: anyText(texts) },
    settingsVersion: versionEntry(texts),
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
    secretField(this, 'privateKey', texts);
  },
  oneditsave() {
    dialogSaved(this);
  },
  oneditcancel() {
    dialogClosed();
  },
});
