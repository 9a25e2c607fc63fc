/** How the examples of a platform that others use are driven to their end: a CI job, Home Assistant, a chat. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import { connectClient, type TestClient } from '../support/client';
import type { FlowNode } from '../support/node-red';
import { listen } from '../support/ports';
import { until } from '../support/wait';
import { find, type Running } from './drivers';

/** The token that the test writes into the example's tab. */
export const API_TOKEN = 'demo-token-of-the-tests';

type Json = Record<string, unknown>;

function brokerOf(flow: readonly FlowNode[]): Promise<TestClient> {
  const broker = flow.find(({ type }) => type === 'mqtt-broker');
  return connectClient(`mqtt://127.0.0.1:${String(broker?.['port'])}`);
}

/** The flow with another value for a variable of its tab. */
function withVariable(flow: readonly FlowNode[], name: string, value: string): FlowNode[] {
  return flow.map((node) => {
    if (!Array.isArray(node['env'])) return node;
    const env = (node['env'] as Json[]).map((one) => (one['name'] === name ? { ...one, value } : one));
    return { ...node, env };
  });
}

/** A chat's incoming webhook: what was posted to it, oldest first. */
async function chat(): Promise<{ url: string; texts: string[]; stop(): Promise<void> }> {
  const texts: string[] = [];
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      texts.push(String((JSON.parse(body) as Json)['text']));
      response.end('ok');
    });
  });
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}/hook`,
    texts,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** A release by two calls, every path of the document called, strangers refused. */
export async function httpApi({ red, flow, wire }: Running): Promise<void> {
  const device = await brokerOf(flow);
  const call = async (
    method: string,
    path: string,
    body?: Buffer | Json,
    token = API_TOKEN,
  ): Promise<{ status: number; body: Json }> => {
    const isFile = Buffer.isBuffer(body);
    const answer = await fetch(red.url + path, {
      method,
      headers: {
        ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined
          ? {}
          : { 'content-type': isFile ? 'application/octet-stream' : 'application/json' }),
        'x-operator': 'ci job',
        // One that is kept open may be closed in the moment in which it is used again.
        connection: 'close',
      },
      body: body === undefined ? undefined : isFile ? new Uint8Array(body) : JSON.stringify(body),
    });
    return { status: answer.status, body: (await answer.json()) as Json };
  };
  try {
    const document = await call('GET', '/ota-api/openapi.json', undefined, '');
    assert.equal(document.status, 200);
    const { Validator } = await import('@seriousme/openapi-schema-validator');
    assert.deepEqual(await new Validator().validate(document.body), { valid: true });
    for (const wrong of ['', 'demo-token-of-the-test', `${API_TOKEN}x`])
      assert.equal((await call('GET', '/ota-api/tasks', undefined, wrong)).status, 401);

    await device.publish('/ota/device/inform/dev-1', { id: '1', params: { version: 'v1.0' } });
    const firmware = randomBytes(100_000);
    const added = await call('POST', '/ota-api/packages?name=meter&version=v1.1', firmware);
    assert.equal(added.status, 201, JSON.stringify(added.body));
    assert.equal(added.body['sign'], createHash('sha256').update(firmware).digest('hex'));
    const task = { packageId: added.body['id'], targets: ['dev-1'], name: 'release' };
    assert.equal((await call('POST', '/ota-api/preview', task)).body['total'], 1);
    const made = await call('POST', '/ota-api/tasks', task);
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const upgrade = await until(() => find(wire, 'upgrade')[0], 'the push');
    assert.equal(upgrade.version, 'v1.1');
    const served = await fetch(String(upgrade.url));
    assert.deepEqual(Buffer.from(await served.arrayBuffer()), firmware);

    const id = String(made.body['taskId']);
    const draft = await call('POST', '/ota-api/tasks', { ...task, draft: true, targets: 'all' });
    const other = String(draft.body['taskId']);
    const bad = await call('POST', '/ota-api/tasks', { ...task, policy: { waves: [3, 1] } });
    assert.equal(bad.status, 400);
    assert.match(String(bad.body['message']), /policy\.waves/);
    const paths = (document.body['paths'] ?? {}) as Record<string, Json>;
    const expected: Record<string, number[]> = {
      '/ota-api/tasks/{taskId}/start': [200],
      '/ota-api/tasks/{taskId}/advance': [409],
      '/ota-api/tasks/{taskId}/retry': [409],
      '/ota-api/tasks/{taskId}/update': [200],
    };
    const bodies: Record<string, Json> = {
      '/ota-api/tasks/{taskId}/update': { name: 'another name' },
      '/ota-api/fleet/label': { accessTokens: ['dev-1'], labels: { site: 'Berlin' } },
      '/ota-api/fleet/forget': { accessTokens: ['nobody'] },
      '/ota-api/fleet/seen': { accessTokens: ['dev-1'] },
    };
    const calls = Object.entries(paths).flatMap(([path, item]) =>
      ['get', 'post', 'delete'].filter((method) => method in item).map((method) => ({ path, method })),
    );
    /** What ends a task comes after all else, and what removes it last. */
    const rank = ({ path, method }: (typeof calls)[number]): number =>
      method === 'delete' ? 2 : Number(path.endsWith('/cancel'));
    for (const { path, method } of calls.toSorted((a, b) => rank(a) - rank(b))) {
      if (path === '/ota-api/packages' && method === 'post') continue;
      if (path === '/ota-api/tasks' && method === 'post') continue;
      const ofDraft = /start|update/.test(path);
      const target = path
        .replace('{taskId}', ofDraft ? other : id)
        .replace('{accessToken}', 'dev-1')
        .replace('{id}', String(added.body['id']));
      const query = path.endsWith('/history') ? '?accessToken=dev-1' : '';
      const body =
        method === 'post' ? (path === '/ota-api/preview' ? task : (bodies[path] ?? {})) : undefined;
      const { status, body: answer } = await call(method.toUpperCase(), target + query, body);
      // The package is still needed by the second task.
      const fits =
        expected[path] ?? (path === '/ota-api/packages/{id}' && method === 'delete' ? [200, 409] : [200]);
      assert.ok(fits.includes(status), `${method} ${path}: ${status} ${JSON.stringify(answer)}`);
      if (status >= 400) assert.match(String(answer['code']), /^OTA_/);
    }
    const head = await fetch(`${red.url}/ota-api/tasks`, {
      method: 'HEAD',
      headers: { authorization: `Bearer ${API_TOKEN}`, connection: 'close' },
    });
    assert.equal(head.status, 200);
    assert.equal((await call('GET', `/ota-api/tasks/${id}`)).status, 404, 'it was removed');
  } finally {
    await device.stop();
  }
}

/** A device becomes an entity, its button upgrades it, and its state tells how far that is. */
export async function homeAssistant({ red, flow, wire, click }: Running): Promise<void> {
  const client = await brokerOf(flow);
  /** The last message of each topic. */
  const home = (): Map<string, Json> =>
    new Map(client.messages.map(({ topic, text }) => [topic, JSON.parse(text) as Json]));
  try {
    await client.subscribe('homeassistant/#');
    await client.subscribe('ota-ha/+/state');
    await client.publish('/ota/device/inform/meter-1', { id: '1', params: { version: 'v1.0' } });
    const topic = await until(
      () => [...home().keys()].find((one) => /^homeassistant\/update\/[0-9a-f]{20}\/config$/.test(one)),
      'the entity',
    );
    const config = home().get(topic) ?? {};
    // https://www.home-assistant.io/integrations/update.mqtt/: what it takes in a discovery message.
    const KNOWN =
      'name unique_id device_class state_topic command_topic payload_install device origin title qos retain icon';
    assert.deepEqual(
      Object.keys(config).filter((key) => !KNOWN.split(' ').includes(key)),
      [],
    );
    assert.equal(config['device_class'], 'firmware');
    assert.doesNotMatch(JSON.stringify([...home()]), /meter-1/, 'the token is a secret');
    const state = (): Json => home().get(String(config['state_topic'])) ?? {};
    await until(() => state()['installed_version'] === 'v1.0', 'its state');
    assert.equal(state()['latest_version'], 'v1.0');

    // A package, as the library of this flow has it.
    const add = { ...flow.find(({ type }) => type === 'ota-package'), id: 'add', wires: [[]] } as FlowNode;
    const make = {
      ...flow.find(({ type }) => type === 'function'),
      type: 'function',
      id: 'make',
      initialize: '',
      libs: [],
      outputs: 1,
      func: "return { content: Buffer.alloc(1000, 1), payload: { action: 'add', name: 'meter', version: 'v1.1' } };",
      wires: [['add']],
    };
    const press = {
      ...flow.find(({ type }) => type === 'inject'),
      id: 'press',
      wires: [['make']],
    } as FlowNode;
    await red.deploy([...flow, add, make, press]);
    await until(async () => {
      // It looks for packages each minute by itself.
      await click('at start, each minute');
      return state()['latest_version'] === 'v1.1';
    }, 'the latest version');
    await client.publish(String(config['command_topic']), 'install');
    const upgrade = await until(() => find(wire, 'upgrade')[0], 'the push');
    assert.equal(upgrade.version, 'v1.1');
    await client.publish('/ota/device/progress/meter-1', { step: '37', desc: '' });
    await until(() => state()['update_percentage'] === 37 && state()['in_progress'] === true, 'its progress');
    await client.publish('/ota/device/progress/meter-1', { step: '100', desc: '' });
    await client.publish('/ota/device/inform/meter-1', { id: '2', params: { version: 'v1.1' } });
    await until(() => state()['installed_version'] === 'v1.1' && state()['in_progress'] === false, 'the end');

    // Flows that begin anew know nothing of before: the device is found in the store, though it says nothing.
    await red.deploy([]);
    const newer = { ...make, func: make['func'].replace('v1.1', 'v1.2') };
    await red.deploy([...flow, add, newer, press]);
    await until(async () => {
      await click('at start, each minute');
      return state()['latest_version'] === 'v1.2';
    }, 'the latest version after a restart');
    await client.publish(String(config['command_topic']), 'install');
    await until(() => find(wire, 'upgrade').some(({ version }) => version === 'v1.2'), 'the second push');
    for (const last of home().values()) {
      // Home Assistant drops a state that has null for a text.
      assert.deepEqual(
        Object.entries(last).filter(([name, value]) => value === null && name !== 'update_percentage'),
        [],
      );
    }
  } finally {
    await client.stop();
  }
}

/** A draft waits; the address that the chat got starts it, once. */
export async function approval({ red, flow, wire, click }: Running): Promise<void> {
  const room = await chat();
  const device = await brokerOf(flow);
  try {
    await red.deploy(withVariable(flow, 'CHAT_WEBHOOK', room.url));
    await click('1.');
    const text = await until(() => room.texts[0], 'the question in the chat');
    // Another release that waits takes nothing from the first one's address.
    await click('1.');
    await until(() => room.texts[1], 'the second question');
    const address = /http\S+/.exec(text)?.[0] ?? '';
    const key = new URL(address).searchParams.get('key') ?? '';
    assert.equal((await fetch(address.slice(0, -1))).status, 404);
    const page = await (await fetch(address)).text();
    assert.match(page, /v1\.1, \d+ devices\. Status: draft/);
    assert.equal(find(wire, 'upgrade').length, 0, 'nothing is pushed before');
    const press = (headers: Record<string, string> = {}): Promise<Response> =>
      fetch(`${red.url}/ota-approval`, {
        method: 'POST',
        headers,
        body: new URLSearchParams({ key, by: 'Ada' }),
      });
    assert.equal((await press({ 'sec-fetch-site': 'cross-site' })).status, 404, 'another site');
    assert.match(await (await press()).text(), /Status: running/);
    // A device that reports later is taken in.
    await until(async () => {
      await device.publish('/ota/device/inform/dev-1', { id: '2', params: { version: 'v1.0' } });
      return find(wire, 'upgrade')[0];
    }, 'the push');
    assert.equal((await press()).status, 404, 'used once');
  } finally {
    await device.stop();
    await room.stop();
  }
}

/** What a task needs people for is told in the chat, in words. */
export async function notify({ red, flow, click }: Running): Promise<void> {
  const room = await chat();
  try {
    await red.deploy(withVariable(flow, 'CHAT_WEBHOOK', room.url));
    await click('try it');
    const text = await until(() => room.texts[0], 'the message');
    assert.equal(
      text,
      'OTA task v1.1 for everybody is paused: too many devices failed. Wave 2 of 2. 42 of 100 succeeded, 8 failed.',
    );
  } finally {
    await room.stop();
  }
}
