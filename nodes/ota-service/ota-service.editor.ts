/** ota-service in the editor: a broker that is there already, and how its topics look. */
import { current, dialogClosed, dialogOpened, dialogSaved } from '../lib/red/editor/dialog';
import { openWhereWrong, secretField, STORED } from '../lib/red/editor/form';
import { forgetServiceToken } from '../lib/red/editor/service-token';
import { textsOf } from '../lib/red/editor/texts';
import { anyText, check, entry, versionEntry } from '../lib/red/editor/validators';
import {
  EVERY_DEVICE,
  isVariable,
  pairRule,
  readTemplate,
  type Reason,
  SERVICE,
  textOf,
  togetherReason,
  tokenRule,
} from '../lib/rules';

const texts = textsOf('ota-service');
const TOPICS = ['informTopic', 'upgradeTopic', 'progressTopic'];

/** A topic counts for the custom scheme only. */
function topicReason(value: unknown, node: EditorNode, own: string): Reason | null {
  if (current(node, 'scheme') !== 'custom') return null;
  const template = textOf(value);
  if (isVariable(template)) return null;
  const { reason } = readTemplate(template, ['token', 'pair', 'none']);
  if (reason !== null) return reason;
  const others = TOPICS.filter((name) => name !== own).map((name) => textOf(current(node, name)));
  return others.map((other) => togetherReason(template, other)).find((each) => each !== null) ?? null;
}

const topic = (own: string): EditorValidator => check(texts, (value, node) => topicReason(value, node, own));

/** A token or a pair: which of them the topics want is known where the service runs. */
function gatewayTokenReason(value: unknown): Reason | null {
  const text = textOf(value).trim();
  if (text === '' || text === STORED || text === EVERY_DEVICE || isVariable(text)) return null;
  return pairRule.read(text).reason === null ? null : tokenRule.read(text).reason;
}

/** Why a session can't be kept as the form stands, as a locale key; null where it can, or isn't asked for. */
function sessionNote(): string | null {
  if ($('#node-config-input-persistent').prop('checked') !== true) return null;
  if ($('#node-config-input-shareGroup').val() !== '') return 'note.sharedSession';
  const broker = RED.nodes.node($('#node-config-input-broker').val()) ?? null;
  if ($('#node-config-input-clientId').val() !== '' || broker === null) return null;
  return textOf(broker['clientid']) === '' ? 'note.madeClientId' : null;
}

RED.nodes.registerType('ota-service', {
  category: 'config',
  icon: 'ota-service.svg',
  defaults: {
    name: { value: '', label: texts('common.label.name'), validate: anyText(texts) },
    broker: { value: '', type: 'mqtt-broker', required: true, label: texts('ota-service.label.broker') },
    scheme: entry(texts, 'ota-service.label.scheme', SERVICE.scheme),
    informTopic: {
      value: '',
      label: texts('ota-service.label.informTopic'),
      validate: topic('informTopic'),
    },
    upgradeTopic: {
      value: '',
      label: texts('ota-service.label.upgradeTopic'),
      validate: topic('upgradeTopic'),
    },
    progressTopic: {
      value: '',
      label: texts('ota-service.label.progressTopic'),
      validate: topic('progressTopic'),
    },
    clientId: { value: '', label: texts('ota-service.label.clientId'), validate: anyText(texts) },
    persistent: entry(texts, 'ota-service.label.persistent', SERVICE.persistent),
    shareGroup: entry(texts, 'ota-service.label.shareGroup', SERVICE.shareGroup),
    window: entry(texts, 'ota-service.label.window', SERVICE.window),
    signMethodCase: entry(texts, 'ota-service.label.signMethodCase', SERVICE.signMethodCase),
    bodies: entry(texts, 'ota-service.label.bodies', SERVICE.bodies),
    sendDefaultModule: entry(texts, 'ota-service.label.sendDefaultModule', SERVICE.sendDefaultModule),
    maxUrlLength: entry(texts, 'ota-service.label.maxUrlLength', SERVICE.maxUrlLength),
    fleet: entry(texts, 'ota-service.label.fleet', SERVICE.fleet),
    settingsVersion: versionEntry(texts),
  },
  credentials: {
    accessToken: {
      type: 'password',
      label: texts('ota-service.label.accessToken'),
      validate: check(texts, (value) => gatewayTokenReason(value)),
    },
  },
  label() {
    if (this.name) return this.name;
    const broker = RED.nodes.node(this['broker']) ?? null;
    if (broker === null) return texts('ota-service.name');
    return texts('ota-service.nameOf', { broker: RED.utils.getNodeLabel(broker, broker.id) });
  },
  labelStyle() {
    return this.name ? 'node_label_italic' : '';
  },
  oneditprepare() {
    dialogOpened(this, 'node-config-input');
    secretField(this, 'accessToken', texts, 'node-config-input');
    $('#node-config-input-scheme')
      .on('change', function () {
        $('.ota-custom').toggle($(this).val() === 'custom');
      })
      .trigger('change');
    const note = $('#ota-service-session-note');
    const update = (): void => {
      const key = sessionNote();
      note.toggle(key !== null).text(key === null ? '' : texts(`ota-service.${key}`));
    };
    ['broker', 'clientId', 'persistent', 'shareGroup'].forEach((name) => {
      $(`#node-config-input-${name}`).on('change keyup', update);
    });
    update();
    openWhereWrong('#node-config-dialog-edit-form');
  },
  oneditsave() {
    forgetServiceToken(this.id);
    dialogSaved(this);
  },
  oneditcancel() {
    dialogClosed();
  },
});
