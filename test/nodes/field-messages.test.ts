/**
 * What released devices and platforms send, byte for byte, through the running nodes and a real broker: each is
 * read as its fixture says, or refused with the code that it names.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { cleanup } from '../support/cleanup';
import { connectClient, type TestClient } from '../support/client';
import { brokerNode, catchNode, helperNode, tabNode } from '../support/flow';
import { loadFlow, type LoadedFlow } from '../support/helper';
import { mosquittoMissing, startMosquitto } from '../support/mosquitto';
import type { FlowNode } from '../support/node-red';
import type { Collected } from '../support/wait';
import { allNodes, asOut } from './support';

type Kind = 'inform' | 'progress' | 'upgrade';

interface Sample {
  readonly kind: Kind;
  readonly scheme: string;
  readonly from: string;
  readonly topic: string;
  readonly body?: string;
  readonly bodyBase64?: string;
  readonly retained?: boolean;
  readonly expect: Readonly<Record<string, unknown>> & { readonly refused?: string };
}

const FOLDER = path.join(__dirname, '../fixtures/wire');
const SAMPLES = ['messages.json', 'more-messages.json'].flatMap(
  (file) => JSON.parse(fs.readFileSync(path.join(FOLDER, file), 'utf8')) as Sample[],
);
const NODES: Readonly<Record<Kind, { type: string; side: string }>> = {
  inform: { type: 'ota-inform', side: 'platform' },
  progress: { type: 'ota-progress', side: 'platform' },
  upgrade: { type: 'ota-push', side: 'device' },
};

function bytesOf({ body, bodyBase64 }: Sample): Buffer {
  return bodyBase64 === undefined ? Buffer.from(body ?? '') : Buffer.from(bodyBase64, 'base64');
}

describe('a message as it is met in the field', () => {
  for (const scheme of new Set(SAMPLES.map((sample) => sample.scheme))) {
    describe(`with the topics of ${scheme}`, () => {
      const samples = SAMPLES.filter((sample) => sample.scheme === scheme);
      const kinds = [...new Set(samples.map(({ kind }) => kind))];
      const later = cleanup(after);
      let client: TestClient;
      let flow: LoadedFlow;

      before(async function () {
        mosquittoMissing(this);
        const broker = later(await startMosquitto());
        client = later(await connectClient(broker.url));
        const nodes = kinds.flatMap((kind): FlowNode[] => [
          { id: kind, z: 'tab', x: 1, y: 1, service: 'service', wires: [[`${kind}-out`]], ...NODES[kind] },
          helperNode(`${kind}-out`),
        ]);
        flow = later(
          await loadFlow(
            allNodes,
            [
              tabNode(),
              brokerNode('broker', broker.port),
              { id: 'service', type: 'ota-service', broker: 'broker', clientId: 'field', scheme },
              ...nodes,
              catchNode('catch', 'caught'),
              helperNode('caught'),
            ],
            { upgrade: { accessToken: '+' } },
          ),
        );
        for (const kind of kinds) await flow.status(kind, /noReport|connected/);
      });

      for (const sample of samples) {
        const { kind, from, topic, retained, expect } = sample;
        const publish = (): Promise<void> =>
          client.publish(topic, bytesOf(sample), { retain: retained === true });

        if (expect.refused === undefined) {
          it(`is read: ${kind}, ${from}`, async () => {
            const out = flow.messages(`${kind}-out`);
            const count = out.items.length;
            await publish();
            const message = asOut((await out.atLeast(count + 1))[count]);
            const { at, ...payload } = message.payload;
            assert.deepEqual(payload, expect);
            assert.equal(new Date(String(at)).toISOString(), at);
            assert.equal(message.topic, topic);
            assert.equal(message.accessToken, expect['accessToken']);
          });
        } else if (retained !== true) {
          it(`is refused with ${expect.refused}: ${kind}, ${from}`, async () => {
            const { items, code, message } = await nextRefusal(flow.messages('caught'), publish);
            assert.equal(code, expect.refused, `${message} (${items})`);
          });
        }
      }
    });
  }
});

/** Errors of what comes from the wire are told once a second: the next one may be held back for so long. */
async function nextRefusal(
  caught: Collected<unknown>,
  publish: () => Promise<void>,
): Promise<{ items: number; code: string | undefined; message: string | undefined }> {
  const count = caught.items.length;
  await publish();
  const { error } = asOut((await caught.atLeast(count + 1))[count]);
  return { items: caught.items.length, code: error?.code, message: error?.message };
}
