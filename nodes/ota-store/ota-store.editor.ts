/** ota-store in the editor: a file, or nothing at all to set. */
import { dialogClosed, dialogOpened, dialogSaved } from '../lib/red/editor/dialog';
import { keepOneStore } from '../lib/red/editor/one-store';
import { textsOf } from '../lib/red/editor/texts';
import { secretField } from '../lib/red/editor/form';
import { anyText, entry, ruled, versionEntry } from '../lib/red/editor/validators';
import { STORE } from '../lib/rules';

const texts = textsOf('ota-store');

keepOneStore();

RED.nodes.registerType('ota-store', {
  category: 'config',
  icon: 'ota-store.svg',
  defaults: {
    name: { value: '', label: texts('common.label.name'), validate: anyText(texts) },
    driver: entry(texts, 'ota-store.label.driver', STORE.driver),
    file: { value: '', label: texts('ota-store.label.file'), validate: anyText(texts) },
    schema: entry(texts, 'ota-store.label.schema', STORE.schema),
    poolSize: entry(texts, 'ota-store.label.poolSize', STORE.poolSize),
    settingsVersion: versionEntry(texts),
  },
  credentials: {
    url: { type: 'password', label: texts('ota-store.label.url'), validate: ruled(texts, STORE.url) },
  },
  label() {
    const { driver, file, schema } = this;
    if (driver === 'postgres')
      return (
        this.name ||
        `PostgreSQL: ${typeof schema === 'string' && schema !== '' ? schema : STORE.schema.byDefault}`
      );
    return this.name || (typeof file === 'string' && file !== '' ? file : texts('ota-store.name'));
  },
  labelStyle() {
    return this.name ? 'node_label_italic' : '';
  },
  oneditprepare() {
    dialogOpened(this, 'node-config-input');
    secretField(this, 'url', texts, 'node-config-input');
    const driver = $('#node-config-input-driver');
    const update = (): void => {
      const isPostgres = driver.val() === 'postgres';
      $('#dialog-form .ota-sqlite, #node-config-dialog-edit-form .ota-sqlite').toggle(!isPostgres);
      $('#dialog-form .ota-postgres, #node-config-dialog-edit-form .ota-postgres').toggle(isPostgres);
    };
    driver.on('change', update);
    update();
  },
  oneditsave() {
    dialogSaved(this);
  },
  oneditcancel() {
    dialogClosed();
  },
});
