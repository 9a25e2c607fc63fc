/** The guard that the example http-api tells to put before it, in a real Express: nobody gets by without the token. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import vm from 'node:vm';
import { ROOT } from '../../scripts/build/paths';
import { cleanup } from '../support/cleanup';
import type { FlowNode } from '../support/node-red';
import { requireNodeRed } from '../support/runtime';

type Handler = (request: object, response: { sendStatus(status: number): void }, next: () => void) => void;
interface App {
  (request: http.IncomingMessage, response: http.ServerResponse): void;
  use(handler: Handler): void;
  post(path: string, handler: Handler): void;
}

const TOKEN = 'a-token-of-the-test';

function guards(): Handler[] {
  const file = path.join(ROOT, 'examples/http-api/http-api.json');
  const nodes = JSON.parse(fs.readFileSync(file, 'utf8')) as FlowNode[];
  return nodes.flatMap(({ info }) => {
    const [, code] = /```js\nhttpNodeMiddleware: ([\s\S]*?),\n```/.exec(String(info)) ?? [];
    if (code === undefined) return [];
    return [vm.runInNewContext(`(${code})`, { process: { env: { OTA_API_TOKEN: TOKEN } } }) as Handler];
  });
}

describe('the documented guard of the HTTP API', () => {
  const later = cleanup();

  it('asks for the token however the path is written', async () => {
    const [guard, ...more] = guards();
    assert.ok(guard);
    assert.equal(more.length, 1, 'the tab and the comment tell the same');
    for (const one of [guard, ...more]) {
      const app = (requireNodeRed('express') as () => App)();
      app.use(one);
      app.post('/ota-api/tasks', (_request, response) => response.sendStatus(200));
      const server = http.createServer(app);
      later({ stop: () => void server.close() });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const post = async (at: string, headers = {}): Promise<number> => {
        const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${at}`;
        return (await fetch(url, { method: 'POST', body: '{}', headers })).status;
      };
      for (const at of ['/ota-api/tasks', '/OTA-API/tasks', '/Ota-Api/Tasks/']) {
        assert.equal(await post(at), 401, at);
        assert.equal(await post(at, { authorization: `Bearer ${TOKEN}` }), 200, at);
      }
    }
  });
});
