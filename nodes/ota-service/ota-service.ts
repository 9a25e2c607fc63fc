/**
 * ota-service: the connection to an OTA service, made from a core mqtt-broker node and a topic scheme. Reads
 * that node's fields and owns the channel; tells each change of the connection's state once.
 */
import type { IClientOptions } from 'mqtt';
import type { Node, NodeAPI, NodeDef } from 'node-red';
import { Channel, type LinkState } from '../lib/link';
import { createScheme, OtaError, type Scheme, toOtaError } from '../lib/protocol';
import { storedToken } from '../lib/red/device';
import { onClose } from '../lib/red/input';
import { installationId } from '../lib/red/installation-id';
import { LogBudget } from '../lib/red/log-budget';
import type { OtaServiceNode } from '../lib/red/service';
import { tellUsers } from '../lib/red/tell-users';
import { settingsOf, settingsReader, textSetting } from '../lib/red/settings';
import { SERVICE } from '../lib/rules';

interface Config extends NodeDef {
  broker?: unknown;
  scheme?: unknown;
  informTopic?: unknown;
  upgradeTopic?: unknown;
  progressTopic?: unknown;
  clientId?: unknown;
  persistent?: unknown;
  shareGroup?: unknown;
  window?: unknown;
  signMethodCase?: unknown;
  bodies?: unknown;
  sendDefaultModule?: unknown;
  maxUrlLength?: unknown;
  fleet?: unknown;
}

/** What we read of a core mqtt-broker node: fields that have stood since Node-RED 1.x. */
interface BrokerNode extends Node {
  readonly brokerurl?: unknown;
  readonly options?: IClientOptions;
  readonly clientid?: unknown;
}

interface Settings {
  readonly scheme: Scheme;
  readonly url: string;
  readonly mqtt: IClientOptions;
  readonly clientId: string;
  readonly fixedClientId: boolean;
  readonly persistent: boolean;
  readonly shareGroup: string;
  readonly window: number;
  readonly fleet: string;
}

module.exports = (RED: NodeAPI): void => {
  /** By node id: what the kept session of a service that is being redeployed holds at the broker. */
  const heldFilters = new Map<string, readonly string[]>();

  function OtaService(this: Node, config: Config): void {
    RED.nodes.createNode(this, config);
    const service = this as unknown as { -readonly [K in keyof OtaServiceNode]: OtaServiceNode[K] };
    service.users = {};
    service.channel = null;
    service.problem = null;
    service.sessionNotKept = false;
    service.fleet = this.id;
    service.accessToken = '';
    let settings: Settings;
    try {
      settings = readSettings(RED, this.id, settingsOf(RED, this, config));
    } catch (error) {
      service.problem = toOtaError(error, 'OTA_BAD_SETTINGS');
      // The users aren't there yet; a Catch node hears of it when they are.
      const { problem } = service;
      setImmediate(() => tellUsers(RED, service, problem));
      return;
    }
    const keeps = settings.persistent && settings.fixedClientId && settings.shareGroup === '';
    service.sessionNotKept = settings.persistent && !settings.fixedClientId && settings.shareGroup === '';
    const report = onceForEachChange((error) => tellUsers(RED, service, error));
    const channel = new Channel({
      ...settings,
      persistent: keeps,
      earlier: keeps ? (heldFilters.get(this.id) ?? []) : [],
      onState: (state) => report.connection(state),
      onSubscription: (filter, error) => report.subscription(filter, error),
      onFault: (error) => report.fault(error),
    });
    service.channel = channel;
    service.fleet = settings.fleet;
    service.accessToken = storedToken(this);
    onClose(this, (removed) => {
      if (keeps && !removed) heldFilters.set(this.id, channel.heldFilters);
      else heldFilters.delete(this.id);
      return channel.end({ endSession: removed });
    });
  }

  RED.nodes.registerType('ota-service', OtaService as never, {
    credentials: { accessToken: { type: 'password' } },
  });
};

function readSettings(RED: NodeAPI, id: string, config: Config): Settings {
  const brokerId = textSetting(config.broker);
  const broker = (brokerId === '' ? null : RED.nodes.getNode(brokerId)) as BrokerNode | null;
  if (broker === null) {
    throw new OtaError(
      'OTA_NO_BROKER',
      'The OTA service has no broker: choose an MQTT broker node in it, one that is not disabled.',
    );
  }
  const { brokerurl, options } = broker;
  if (typeof brokerurl !== 'string' || brokerurl === '' || typeof options !== 'object') {
    throw new OtaError(
      'OTA_NO_BROKER',
      'The broker node can not be read: it must be an mqtt-broker node of Node-RED 4.1 or later.',
    );
  }
  const read = settingsReader(SERVICE, config);
  const own = textSetting(config.clientId).trim();
  const given = typeof broker.clientid === 'string' && broker.clientid !== '';
  // The broker node's own is another at each start where none was typed into it.
  const made = own === '' && !given ? installationId(RED) : null;
  const base = made === null ? (options.clientId ?? 'nodered') : `nodered_${made}`;
  return {
    scheme: createScheme(
      textSetting(config.scheme),
      {
        inform: textSetting(config.informTopic),
        upgrade: textSetting(config.upgradeTopic),
        progress: textSetting(config.progressTopic),
      },
      {
        bodies: textSetting(config.bodies),
        signMethodCase: read('signMethodCase'),
        sendDefaultModule: read('sendDefaultModule'),
        maxUrlLength: read('maxUrlLength'),
      },
    ),
    url: brokerurl,
    mqtt: connectionOptions(options),
    clientId: own !== '' ? own : `${base}-ota-${idPart(id)}`,
    fixedClientId: own !== '' || given || made !== null,
    persistent: read('persistent'),
    shareGroup: read('shareGroup'),
    fleet: read('fleet') || id,
    window: read('window'),
  };
}

/** Address, login, TLS and protocol are the broker node's; its will, id and session are its own affair. */
function connectionOptions(options: IClientOptions): IClientOptions {
  const { will: _will, clientId: _id, clean: _clean, reconnectPeriod: _period, ...rest } = options;
  if (rest.properties === undefined) return rest;
  const { sessionExpiryInterval: _expiry, ...properties } = rest.properties;
  return { ...rest, properties };
}

/** An id made by Node-RED has 16 hex digits: half of them will do. Others are taken whole. */
function idPart(id: string): string {
  if (/^[0-9a-f]{16}$/.test(id)) return id.slice(0, 8);
  return id.replace(/[^0-9A-Za-z_.-]/g, '').slice(-40);
}

/** Tells an error when the state changes to it, not at each try; a fault as often as a `LogBudget` has it. */
function onceForEachChange(tell: (error: OtaError) => void): {
  connection(state: LinkState): void;
  subscription(filter: string, error: OtaError | null): void;
  fault(error: OtaError): void;
} {
  let last: string | null = null;
  const refused = new Set<string>();
  const budget = new LogBudget(performance.now());
  let quietUntil = -Infinity;
  let leftOut = 0;
  return {
    connection(state) {
      if (state.phase === 'connected') last = null;
      if (state.phase !== 'waiting' || state.error === null || state.error.code === last) return;
      last = state.error.code;
      tell(state.error);
    },
    subscription(filter, error) {
      if (error === null) refused.delete(filter);
      else if (!refused.has(filter)) {
        refused.add(filter);
        tell(error);
      }
    },
    fault(error) {
      const now = performance.now();
      if (now < quietUntil) {
        leftOut += 1;
        return;
      }
      quietUntil = now + budget.pause(now);
      const more = leftOut === 0 ? '' : ` (${leftOut} errors like this were left out before)`;
      leftOut = 0;
      tell(more === '' ? error : new OtaError(error.code, error.message + more, { cause: error }));
    },
  };
}
