/** ota-verify in the editor: a package downloaded (or at hand) and checked before it is installed. */
import { current, dialogClosed, dialogOpened, dialogSaved } from '../lib/red/editor/dialog';
import { openWhereWrong } from '../lib/red/editor/form';
import { textsOf } from '../lib/red/editor/texts';
import { anyText, check, entry, versionEntry } from '../lib/red/editor/validators';
import { proxyRule, settingReason, textOf, VERIFY } from '../lib/rules';

const texts = textsOf('ota-verify');
const setting = (name: keyof typeof VERIFY): EditorProperty =>
  entry(texts, `ota-verify.label.${name}`, VERIFY[name]);

function isProxyNode(id: string): boolean {
  return RED.nodes.node(id)?.type === 'http proxy';
}

/** A proxy node, or the address of a proxy. */
const proxy = check(texts, (value) => {
  const text = textOf(value).trim();
  return text === '_ADD_' || isProxyNode(text) ? null : settingReason(proxyRule, text);
});

/** Nothing could ever be verified without a key. */
const requireSignature = check(texts, (value, node) => {
  const isOn = textOf(value) === 'true';
  if (isOn && textOf(current(node, 'publicKeys')).trim() === '') return { key: 'keysMissing' };
  return settingReason(VERIFY.requireSignature, value);
});

RED.nodes.registerType('ota-verify', {
  category: 'OTA',
  color: '#6FB8AC',
  defaults: {
    name: { value: '', label: texts('common.label.name'), validate: anyText(texts) },
    source: setting('source'),
    directory: { value: '', label: texts('ota-verify.label.directory'), validate: anyText(texts) },
    downloadShare: setting('downloadShare'),
    retries: setting('retries'),
    stallTimeout: setting('stallTimeout'),
    totalTimeout: setting('totalTimeout'),
    maxBytes: setting('maxBytes'),
    requireSign: setting('requireSign'),
    allowedHosts: setting('allowedHosts'),
    allowLocal: setting('allowLocal'),
    maxRedirects: setting('maxRedirects'),
    tls: { value: '', type: 'tls-config', required: false, label: texts('ota-verify.label.tls') },
    proxy: {
      value: '',
      type: 'http proxy',
      required: false,
      label: texts('ota-verify.label.proxy'),
      validate: proxy,
    },
    lenient: setting('lenient'),
    publicKeys: setting('publicKeys'),
    requireSignature: { ...setting('requireSignature'), validate: requireSignature },
    rollback: setting('rollback'),
    concurrency: setting('concurrency'),
    keep: setting('keep'),
    settingsVersion: versionEntry(texts),
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
    const known = textOf(this['proxy']);
    if (!isProxyNode(known)) $('#ota-verify-proxy-address').val(known);
    $('#node-input-source')
      .on('change', function () {
        $('#dialog-form .ota-url').toggle($(this).val() === 'url');
      })
      .trigger('change');
    openWhereWrong('#dialog-form');
  },
  oneditsave() {
    // The list holds proxy nodes; an address that was typed becomes an entry of it, which the editor reads.
    const address = textOf($('#ota-verify-proxy-address').val()).trim();
    const list = $('#node-input-proxy');
    if (address !== '') list.append($('<option>').val(address).text(address)).val(address);
    dialogSaved(this);
  },
  oneditcancel() {
    dialogClosed();
  },
});
