/**
 * A plugin of Dashboard 2.0: tells the flows behind a page who sent a message, and whether the page's socket is
 * guarded by the login that guards the page. Owns `msg._client.operator` and `msg._client.login`: what a browser
 * sends in their place is overwritten here, on the server. Must never let a message through or drop one by itself.
 */
import type { NodeAPI } from 'node-red';
import { MAX_NOTE } from '../rules';

/**
 * How the login of Node-RED's HTTP server and that of Dashboard's socket go together. `open`: neither is set (a
 * proxy in front may guard both); `guarded`: both are; `socket-open`: `httpNodeAuth` guards the page, but nothing
 * guards its socket; `page-open`: the other way round.
 */
export type LoginState = 'open' | 'guarded' | 'socket-open' | 'page-open';

/** What of Node-RED's settings decides about it. */
export interface LoginSettings {
  readonly httpNodeAuth?: unknown;
  readonly dashboard?: { readonly ioMiddleware?: unknown; readonly middleware?: unknown };
}

/** A connection of Socket.IO, as far as it is looked at. */
export interface DashboardConnection {
  /** Set by `dashboard.ioMiddleware` in Node-RED's settings. */
  readonly data?: { readonly user?: unknown };
}

/** How page and socket are guarded, from Node-RED's settings. */
export function loginState({ httpNodeAuth, dashboard }: LoginSettings): LoginState {
  const page = isSet(httpNodeAuth) || isSet(dashboard?.middleware);
  const socket = isSet(dashboard?.ioMiddleware);
  if (page) return socket ? 'guarded' : 'socket-open';
  return socket ? 'page-open' : 'open';
}

function isSet(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== null && value !== false;
}

/** The message with the operator's name (null where no login tells it) and how page and socket are guarded. */
export function withLogin(
  connection: DashboardConnection,
  message: Record<string, unknown>,
  login: LoginState,
): Record<string, unknown> {
  const name = connection.data?.user;
  const operator = typeof name === 'string' && name !== '' ? name.slice(0, MAX_NOTE) : null;
  const client = typeof message['_client'] === 'object' ? message['_client'] : null;
  return { ...message, _client: { ...client, operator, login } };
}

module.exports = (RED: NodeAPI): void => {
  const settings = RED.settings as unknown as LoginSettings;
  RED.plugins.registerPlugin('ota-dashboard-clients', {
    type: 'node-red-dashboard-2',
    hooks: {
      onAddConnectionCredentials: (connection: DashboardConnection, message: Record<string, unknown>) =>
        withLogin(connection, message, loginState(settings)),
    },
  } as never);
};
