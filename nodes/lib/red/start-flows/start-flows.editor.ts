/**
 * A plugin of the editor: "First OTA upgrade…" in its menu. It adds the examples of first-upgrade, put on a broker
 * that is there already. Owns the dialog; the flows are the examples' own, and nothing is added without a click.
 */
import { textsOf } from '../editor/texts';
import { type BrokerChoice, type FlowFileNode, onBroker } from './on-broker';

const texts = textsOf('start-flows');
const t = (key: string, values?: Record<string, string>): string => texts(`start-flows.${key}`, values);

const ACTION = 'ota:first-upgrade';
const EXAMPLES = 'library/examples/flows/@mqtt-ota/node-red-ota/first-upgrade';
const PARTS = ['platform', 'device'] as const;

RED.plugins.registerPlugin('ota-start-flows', {
  type: 'ota-start-flows',
  onadd() {
    RED.actions.add(ACTION, openDialog);
    RED.menu?.addItem('red-ui-header-button-sidemenu', {
      id: 'menu-item-ota-first-upgrade',
      label: t('menu'),
      onselect: ACTION,
    });
  },
});

function configNodes(type: string): EditorNode[] {
  const found: EditorNode[] = [];
  RED.nodes.eachConfig((node) => {
    if (node.type === type) found.push(node);
  });
  return found;
}

function workspaces(): string[] {
  const found: string[] = [];
  RED.nodes.eachWorkspace(({ id }) => void found.push(id));
  return found;
}

function openDialog(): void {
  const brokers = configNodes('mqtt-broker');
  const form = dialogForm(brokers);
  const add = (): void => {
    const wanted = PARTS.filter((part) => form.find(`#ota-start-${part}`).prop('checked') === true);
    const chosen = brokerChoice(form);
    form.dialog('close');
    void addFlows(wanted, chosen);
  };
  form.dialog({
    title: t('title'),
    modal: true,
    width: 500,
    resizable: false,
    close: () => form.dialog('destroy').remove(),
    buttons: [
      { text: t('cancel'), click: () => form.dialog('close') },
      { text: t('add'), class: 'primary', id: 'ota-start-add', click: add },
    ],
  });
}

function dialogForm(brokers: readonly EditorNode[]): JQuery {
  const form = $('<form class="ota-start dialog-form"></form>').append($('<p>').text(t('intro')));
  for (const part of PARTS) {
    const box = $('<input type="checkbox" checked>').attr('id', `ota-start-${part}`);
    form.append(
      $('<p>').append(
        $('<label>').append(box.css({ margin: '0 6px 0 0' }), document.createTextNode(t(part))),
      ),
    );
  }
  const select = $('<select id="ota-start-broker">').attr('aria-label', t('broker'));
  for (const broker of brokers) {
    select.append($('<option>').val(broker.id).text(RED.utils.getNodeLabel(broker, broker.id)));
  }
  select.append($('<option value="">').text(t('newBroker')));
  const host = $('<input type="text" id="ota-start-host" value="localhost">').attr('aria-label', t('host'));
  const port = $('<input type="text" id="ota-start-port" value="1883">').attr('aria-label', t('port'));
  const address = $('<p>').append(
    host.css({ width: '60%' }),
    document.createTextNode(' : '),
    port.css({ width: '20%' }),
  );
  const update = (): void => void address.toggle(select.val() === '');
  select.on('change', update);
  update();
  // Enter in a field must not send the page away.
  form.on('submit', () => false);
  return form.append($('<p>').append(document.createTextNode(`${t('broker')}: `), select), address);
}

function brokerChoice(form: JQuery): BrokerChoice {
  const id = String(form.find('#ota-start-broker').val() ?? '');
  if (id !== '')
    return { id, service: configNodes('ota-service').find((one) => one['broker'] === id)?.id ?? null };
  const text = (field: string): string => String(form.find(`#ota-start-${field}`).val() ?? '').trim();
  return { host: text('host') || 'localhost', port: text('port') || '1883' };
}

async function addFlows(parts: readonly string[], chosen: BrokerChoice): Promise<void> {
  try {
    const files = parts.map((part) => $.getJSON(`${EXAMPLES}/${part}`) as PromiseLike<FlowFileNode[]>);
    const flow = onBroker((await Promise.all(files)).flat(), chosen, window.location.href);
    if (flow.length === 0) return;
    const before = new Set(workspaces());
    // Broker and service keep the ids that all examples have: whoever imports another one later keeps these.
    const configs = flow.filter(({ type }) => type === 'mqtt-broker' || type === 'ota-service');
    const isFree = configs.length > 0 && configs.every(({ id }) => !RED.nodes.node(id));
    const options = { addFlow: false, notify: false };
    if (isFree) RED.view.importNodes(configs, { ...options, generateIds: false });
    RED.view.importNodes(flow, { ...options, generateIds: true });
    const [first] = workspaces().filter((id) => !before.has(id));
    if (first !== undefined) RED.workspaces.show(first);
    RED.notify(t('added'), { type: 'success', timeout: 10_000 });
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'HTTP';
    RED.notify(t('failed', { reason }), { type: 'error' });
  }
}
