/**
 * The README's "Your first upgrade", followed step by step in an empty Node-RED with the packed package: the nodes
 * and wires that it names, its settings, its code.
 */
import assert from 'node:assert/strict';
import { INSTALL_TIMEOUT_MS, startInstalled } from '../packed/installed';
import { type AedesServer, startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { brokerNode } from '../support/flow';
import type { FlowNode } from '../support/node-red';
import { freePort } from '../support/ports';
import { blocksOf, chapterOf, FRONT, ORIGINAL } from '../support/docs';
import { until } from '../support/wait';

/** What went over the broker, as `inform v1.0`, `upgrade v1.1`, `progress 100`. */
function watch({ broker }: AedesServer): string[] {
  const seen: string[] = [];
  broker.on('publish', ({ topic, payload }, client) => {
    if (client === null) return;
    const { params, step } = JSON.parse(payload.toString()) as {
      params?: { version: string };
      step?: string;
    };
    seen.push(`${topic.split('/')[3] ?? ''} ${params?.version ?? step ?? ''}`);
  });
  return seen;
}

function node(
  id: string,
  type: string,
  wires: string[][] = [],
  more: Record<string, unknown> = {},
): FlowNode {
  return { id, type, z: more['z'] ?? 'platform', x: 1, y: 1, wires, ...more };
}

describe("the README's first upgrade", function () {
  this.timeout(INSTALL_TIMEOUT_MS);
  const later = cleanup();

  it('ends with the new version, by one press of the inject node', async () => {
    const blocks = blocksOf(chapterOf(ORIGINAL, FRONT, 'Your first upgrade')).filter(
      ({ language }) => language === 'js',
    );
    const [add, whom, install] = blocks.map(({ code }) => code);
    assert.equal(blocks.length, 3);
    const func = (code: string | undefined, outputs: number): Record<string, unknown> => ({
      func: code,
      outputs,
      libs: [],
    });
    const broker = later(await startAedes());
    const seen = watch(broker);
    const port = await freePort();
    const red = later(await startInstalled({ port }));
    const onDevice = {
      z: 'device',
      side: 'device',
      service: 'service',
      credentials: { accessToken: 'device-1' },
    };
    await red.deploy([
      { id: 'platform', type: 'tab', label: 'platform' },
      { id: 'device', type: 'tab', label: 'device' },
      brokerNode('broker', broker.port, { clientid: '' }),
      { id: 'service', type: 'ota-service', broker: 'broker' },
      // The platform
      node('versions', 'ota-inform', [['debug']], { service: 'service', side: 'platform' }),
      node('inject', 'inject', [['add']], { props: [{ p: 'payload' }] }),
      node('add', 'function', [['packages']], func(add, 1)),
      node('packages', 'ota-package', [['whom']], { baseUrl: `http://127.0.0.1:${port}` }),
      node('whom', 'function', [['push']], func(whom, 1)),
      node('push', 'ota-push', [['debug'], ['debug']], { service: 'service', side: 'platform' }),
      node('progress', 'ota-progress', [['debug']], { service: 'service', side: 'platform' }),
      node('debug', 'debug', [], { complete: 'payload', tosidebar: false, console: true, active: true }),
      // The device
      node('report', 'ota-inform', [[]], { ...onDevice, version: 'v1.0', atStart: true }),
      node('receive', 'ota-push', [['verify']], { ...onDevice, inputs: 0, outputs: 1 }),
      node('verify', 'ota-verify', [['install'], ['step']], { z: 'device', allowLocal: true }),
      node('install', 'function', [['step'], ['report']], { z: 'device', ...func(install, 2) }),
      node('step', 'ota-progress', [[]], onDevice),
    ]);
    const debug = (version: string): Promise<unknown> =>
      until(
        () => red.lines.join('\n').includes(`version: '${version}'`),
        `${version} in the platform's debug node`,
      );
    await debug('v1.0');
    await red.post('/inject/inject', {});
    await until(() => seen.includes('inform v1.1'), 'the report of the new version');
    const shown = seen.filter((line) => !/^progress \d{1,2}$/.test(line));
    assert.deepEqual(shown.sort(), ['inform v1.0', 'inform v1.1', 'progress 100', 'upgrade v1.1']);
    await debug('v1.1');
  });
});
