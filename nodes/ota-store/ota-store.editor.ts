/** ota-store in the editor: a file, or nothing at all to set. */
import { dialogClosed, dialogOpened } from '../lib/red/editor/dialog';
import { textsOf } from '../lib/red/editor/texts';
import { anyText, ruled } from '../lib/red/editor/validators';
import { choiceRule } from '../lib/rules';

const texts = textsOf('ota-store');

RED.nodes.registerType('ota-store', {
  category: 'config',
  icon: 'ota-store.svg',
  defaults: {
    name: { value: '', label: texts('common.label.name'), validate: anyText(texts) },
    driver: {
      value: 'sqlite',
      label: texts('ota-store.label.driver'),
      validate: ruled(texts, choiceRule(['sqlite'])),
    },
    file: { value: '', label: texts('ota-store.label.file'), validate: anyText(texts) },
    settingsVersion: { value: '2', label: texts('common.label.settingsVersion'), validate: anyText(texts) },
  },
  label() {
    const { file } = this;
    return this.name || (typeof file === 'string' && file !== '' ? file : texts('ota-store.name'));
  },
  labelStyle() {
    return this.name ? 'node_label_italic' : '';
  },
  oneditprepare() {
    dialogOpened(this, 'node-config-input');
  },
  oneditsave() {
    dialogClosed();
  },
  oneditcancel() {
    dialogClosed();
  },
});
