/** The documented device in Python, run against a real broker and the nodes: it is upgraded, and tells what fails. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { loadPlatform } from '../nodes/service-support';
import { asOut } from '../nodes/support';
import { startChild } from '../support/child';
import { cleanup } from '../support/cleanup';
import { blockOf, LANGUAGES, ORIGINAL, readPage } from '../support/docs';
import type { LoadedFlow } from '../support/helper';
import { requirePython } from '../support/missing';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { listen } from '../support/ports';
import { temporaryFolder } from '../support/temporary-folder';
import type { Collected } from '../support/wait';

const FIRMWARE = crypto.randomBytes(200_000);
const digest = (method: string): string => crypto.createHash(method).update(FIRMWARE).digest('hex');

interface Started {
  readonly flow: LoadedFlow;
  /** Where the device keeps its firmware. */
  readonly target: string;
  readonly reports: Collected<unknown>;
  readonly steps: Collected<unknown>;
}

describe('the documented device in Python', function () {
  this.timeout(240_000);
  const later = cleanup();
  let python: string;
  let broker: Mosquitto;
  let url: string;

  before(async function () {
    mosquittoMissing(this);
    python = requirePython(this, 'paho.mqtt', 'python3-paho-mqtt');
  });
  beforeEach(async () => {
    broker = later(await startMosquitto());
    const server = http.createServer((request, response) => {
      response.writeHead(request.url === '/fw.bin' ? 200 : 404, { 'Content-Length': FIRMWARE.length });
      response.end(request.url === '/fw.bin' ? FIRMWARE : undefined);
    });
    url = `http://127.0.0.1:${await listen(server)}`;
    later({
      stop: async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    });
  });

  /** Starts a platform and the device, which has reported its version then. */
  async function start(): Promise<Started> {
    const flow = later(
      await loadPlatform(broker.port, { service: { clientId: 'platform', persistent: false } }),
    );
    const reports = flow.messages('reports');
    const steps = flow.messages('steps');
    await flow.status('inform', /noReport/);
    const folder = later(await temporaryFolder());
    const program = path.join(folder.path, 'device.py');
    const target = path.join(folder.path, 'firmware.bin');
    await fs.writeFile(program, blockOf(readPage(ORIGINAL, 'device-makers'), 'python', /paho/));
    const child = startChild(python, [
      program,
      '127.0.0.1',
      String(broker.port),
      'device-1234',
      'v1.0',
      target,
    ]);
    later({ stop: () => child.end('SIGKILL') });
    const { payload } = asOut((await reports.atLeast(1))[0]);
    assert.deepEqual([payload['accessToken'], payload['version']], ['device-1234', 'v1.0']);
    return { flow, target, reports, steps };
  }

  const push = (flow: LoadedFlow, change: object): void => {
    const upgrade = { version: 'v1.1', url: `${url}/fw.bin`, size: FIRMWARE.length, sign: digest('md5') };
    flow.send('push', { accessToken: 'device-1234', payload: { ...upgrade, ...change } });
  };
  const stepsOf = ({ steps }: Started): unknown[] =>
    steps.items.map((message) => asOut(message).payload['step']);

  for (const method of ['md5', 'sha256']) {
    it(`installs an upgrade with ${method}, and reports the new version`, async () => {
      const started = await start();
      push(started.flow, { sign: digest(method) });
      const reports = await started.reports.atLeast(2);
      assert.equal(asOut(reports[1]).payload['version'], 'v1.1');
      await started.steps.atLeast(2);
      assert.deepEqual(stepsOf(started), [1, 100]);
      assert.ok((await fs.readFile(started.target)).equals(FIRMWARE));
    });
  }

  for (const [what, change, step] of [
    ['a download that fails', { url: 'http://127.0.0.1:1/fw.bin' }, -2],
    ['a size that differs', { size: 5 }, -2],
    ['a digest that differs', { sign: '0'.repeat(64) }, -3],
  ] as const) {
    it(`reports ${step} after ${what}`, async () => {
      const started = await start();
      push(started.flow, change);
      await started.steps.atLeast(2);
      assert.deepEqual(stepsOf(started), [1, step]);
      await assert.rejects(fs.access(started.target));
    });
  }

  it('is the same program in every language of the documentation', () => {
    const programs = LANGUAGES.map((language) =>
      blockOf(readPage(language, 'device-makers'), 'python', /paho/),
    );
    assert.equal(new Set(programs).size, 1);
    assert.equal(spawnSync(python, ['-c', 'import paho.mqtt']).status, 0);
  });
});
