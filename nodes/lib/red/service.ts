/**
 * What a node has of its ota-service: the channel, and a status that says how the connection stands. The
 * only place where the link's states become words for a person.
 */
import type { Node, NodeAPI } from 'node-red';
import type {
  Channel,
  ChannelUser,
  FilterState,
  Listener,
  LinkState,
  PublishOptions,
  Settled,
} from '../link';
import {
  ANY_IDENTITY,
  type Identity,
  type MessageKind,
  type OtaCode,
  OtaError,
  type Outcome,
  type Outgoing,
} from '../protocol';
import type { Status } from './status';

/** The ota-service config node as other nodes see it. */
export interface OtaServiceNode extends Node {
  /** null where the settings can't be used: see `problem`. */
  readonly channel: Channel | null;
  readonly problem: OtaError | null;
  /** The session was asked for, but a random client id can't keep one. */
  readonly sessionNotKept: boolean;
  /** The name under which ota-task keeps the devices and tasks of this service. */
  readonly fleet: string;
  /** The access token of this gateway, for device sides that have none of their own; blank: none. */
  readonly accessToken: string;
  /** Node-RED brings an error of a config node to the Catch nodes of these. */
  users: Record<string, Node>;
}

const CODE_STATUS: Partial<Record<OtaCode, string>> = {
  OTA_UNREACHABLE: 'unreachable',
  OTA_AUTH_REFUSED: 'authRefused',
  OTA_TLS: 'tls',
  OTA_CLIENT_ID_TAKEN: 'clientIdTaken',
  OTA_CONNECTION_LOST: 'connectionLost',
  OTA_BROKER_REFUSED: 'brokerRefused',
  OTA_BAD_TEMPLATE: 'badTopics',
  OTA_NO_SERVICE: 'noService',
  OTA_NO_BROKER: 'noBroker',
  OTA_BAD_SETTINGS: 'badSettings',
  OTA_BAD_TOKEN: 'noToken',
  OTA_SUBSCRIBE_REFUSED: 'subscribeRefused',
  OTA_NOT_CONNECTED: 'disconnected',
  OTA_PUBLISH_REFUSED: 'refused',
  OTA_TIMEOUT: 'timeout',
  OTA_BAD_INPUT: 'messageRefused',
  OTA_BAD_UPGRADE: 'messageRefused',
  OTA_BAD_MESSAGE: 'messageRefused',
};

/** What became of a message, and the topic it went to (blank where there was none). */
export interface Sent extends Outcome {
  readonly topic: string;
}

/** The locale key that tells an error in a status. */
export function statusOf(error: OtaError): string {
  return `common.status.${CODE_STATUS[error.code] ?? 'failed'}`;
}

/** Shows the error of a message in a node's status, until the next one that it can work on. */
export function failureIn(status: Status): (error: OtaError) => void {
  return (error) => status.refused(statusOf(error));
}

const CONNECTED = 'common.status.connected';
const NO_REPORT = 'common.status.noReport';
/** How long a node says that no session is kept, before it says what it waits for. */
const NOTICE_MS = 3000;

export class ServiceUse {
  readonly #node: Node;
  readonly #status: Status;
  readonly #service: OtaServiceNode | null;
  readonly #problem: OtaError | null;
  readonly #user: ChannelUser = { onState: (state) => this.#changed(state) };
  readonly #connectionListeners: (() => void)[] = [];
  readonly #stops: ((removed: boolean) => void)[] = [];
  #idle = CONNECTED;
  #subscription: FilterState | null = null;
  #failureShown = false;
  #notice: NodeJS.Timeout | null = null;
  #noticed = false;
  #acquired = false;
  #phase: LinkState['phase'] = 'idle';

  /** A missing or unusable service is told once, by status and error; inputs then fail with `problem`. */
  constructor(RED: NodeAPI, node: Node, serviceId: unknown, status: Status) {
    this.#node = node;
    this.#status = status;
    this.#service = serviceNode(RED, serviceId);
    this.#problem = problemOf(this.#service);
    if (this.#service !== null) this.#register(this.#service);
    if (this.#problem !== null) {
      const problem = this.#problem;
      status.failure(statusOf(problem));
      // The service tells of its own settings; nobody else would tell that there is none. Not yet: the Catch
      // nodes of a flow are there when all its nodes are.
      if (this.#service === null) setImmediate(() => node.error(problem, {}));
    }
  }

  /** What keeps the node from working at all, or null. */
  get problem(): OtaError | null {
    return this.#problem;
  }

  /** The name under which ota-task keeps what belongs to the service. @throws OtaError what is wrong with it */
  get fleet(): string {
    if (this.#service === null) throw noService();
    return this.#service.fleet;
  }

  /** The gateway's own access token, as the service holds it; blank where it holds none. */
  get accessToken(): string {
    return this.#service?.accessToken ?? '';
  }

  /** What an access token looks like with this service's topics. */
  get identity(): Identity {
    return this.#service?.channel?.scheme.identity ?? ANY_IDENTITY;
  }

  /** The channel. @throws OtaError what is wrong with the service */
  channel(): Channel {
    const channel = this.#service?.channel ?? null;
    if (this.#problem !== null || channel === null) throw this.#problem ?? noService();
    return channel;
  }

  /** True while there is a connection. */
  get connected(): boolean {
    return this.#acquired && this.#problem === null && this.channel().state.phase === 'connected';
  }

  /** True where the broker can't be reached, or the connection was lost; not while the first try goes on. */
  get away(): boolean {
    if (!this.#acquired || this.#problem !== null) return false;
    const { phase, error } = this.channel().state;
    return phase !== 'connected' && error !== null;
  }

  /** Calls at each change of the connection. To be called before `start`. */
  onConnection(listener: () => void): void {
    this.#connectionListeners.push(listener);
  }

  /** Takes part in the connection. To be called once, after every `listen`. */
  start(): void {
    if (this.#problem !== null || this.#acquired) return;
    this.#acquired = true;
    this.channel().acquire(this.#user);
  }

  /**
   * Subscribes; the status then says `idle` (a locale key) once the broker granted it. `noReport` is said
   * until the first message only, also after the connection was made anew.
   */
  listen<K extends MessageKind>(listener: Omit<Listener<K>, 'onSubscription'>, idle: string): void {
    if (this.#problem !== null) return;
    this.#idle = idle;
    this.#subscription = 'pending';
    const stop = this.channel().listen<K>({
      ...listener,
      onMessage: (message, batch, again) => {
        if (this.#idle === NO_REPORT) this.#idle = CONNECTED;
        listener.onMessage(message, batch, again);
      },
      onSubscription: (state) => {
        this.#subscription = state;
        this.#refresh();
      },
    });
    this.#stops.push(stop);
  }

  /** Sends a message to one device, or from one; the outcome comes later, always. See `Channel.send`. */
  send<K extends MessageKind>(
    kind: K,
    accessToken: string,
    message: Outgoing[K],
    settled: Settled,
    options?: PublishOptions,
  ): void {
    this.channel().send(kind, accessToken, message, settled, options);
  }

  /** The same, to be awaited. @throws OtaError what is wrong with the service */
  async sendAsync<K extends MessageKind>(
    kind: K,
    accessToken: string,
    message: Outgoing[K],
    options?: PublishOptions,
  ): Promise<Sent> {
    const channel = this.channel();
    return new Promise((resolve) => {
      const settled: Settled = ({ delivery, error }, topic) => resolve({ delivery, error, topic });
      channel.send(kind, accessToken, message, settled, options);
    });
  }

  /** What the status says while nothing happens. */
  setIdle(text: string): void {
    this.#idle = text;
    if (this.#acquired) this.#refresh();
  }

  close(removed: boolean): void {
    if (this.#notice !== null) clearTimeout(this.#notice);
    for (const stop of this.#stops.splice(0)) stop(removed);
    if (this.#acquired) this.#service?.channel?.release(this.#user, removed);
    this.#acquired = false;
  }

  /** For as long as the node runs, also where it can't be set up and never calls `close`. */
  #register({ users }: OtaServiceNode): void {
    const node = this.#node;
    users[node.id] = node;
    node.on('close', () => {
      if (users[node.id] === node) delete users[node.id];
    });
  }

  #changed(state: LinkState): void {
    this.#refresh();
    if (state.phase === this.#phase) return;
    this.#phase = state.phase;
    for (const listener of this.#connectionListeners) listener();
  }

  #refresh(): void {
    const state: LinkState = this.channel().state;
    if (state.phase !== 'connected') {
      if (state.error === null) this.#status.idle('common.status.connecting');
      else this.#fail(statusOf(state.error));
      return;
    }
    if (this.#subscription === 'refused') {
      this.#fail('common.status.subscribeRefused');
      return;
    }
    if (this.#failureShown) this.#status.recovered();
    this.#failureShown = false;
    if (this.#subscription === 'pending') this.#status.idle('common.status.connecting');
    else this.#ready();
  }

  #ready(): void {
    const notice = this.#service?.sessionNotKept === true && this.#subscription === 'granted';
    if (!notice || this.#noticed) {
      if (this.#notice === null) this.#status.idle(this.#idle, 'dot');
      return;
    }
    this.#noticed = true;
    this.#status.idle('common.status.sessionNotKept');
    this.#notice = setTimeout(() => {
      this.#notice = null;
      this.#refresh();
    }, NOTICE_MS);
  }

  #fail(text: string): void {
    this.#failureShown = true;
    this.#status.failure(text);
  }
}

/** The config node, or null where there is none, it is disabled, or it is of another type. */
function serviceNode(RED: NodeAPI, id: unknown): OtaServiceNode | null {
  const found = typeof id === 'string' && id !== '' ? (RED.nodes.getNode(id) as Node | null) : null;
  return found?.type === 'ota-service' ? (found as OtaServiceNode) : null;
}

function problemOf(service: OtaServiceNode | null): OtaError | null {
  if (service === null) return noService();
  if (service.problem !== null) return service.problem;
  return service.channel === null ? noService() : null;
}

function noService(): OtaError {
  return new OtaError(
    'OTA_NO_SERVICE',
    'No OTA service is chosen, or it is disabled: choose one in the node.',
  );
}
