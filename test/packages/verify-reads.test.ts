/** The body of an answer as it is read: in pieces that are kept, by a reader that is slower than the line. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { type HttpAnswer, httpGet, type HttpRules } from '../../nodes/lib/packages/transfer/http';
import { consume } from '../../nodes/lib/packages/transfer/consume';
import { BATCH_BYTES } from '../../nodes/lib/packages/transfer/hashing-file-writer';
import { cleanup } from '../support/cleanup';
import { until } from '../support/wait';
import { type Answer, chunked, good, startServer } from './support/server';

const BODY = randomBytes(12_000_000);
const RULES: HttpRules = { allowedHosts: [], allowLocal: true, maxRedirects: 0 };
const later = cleanup();

async function ask(answer: Answer): Promise<HttpAnswer['body']> {
  const server = later(await startServer(answer));
  const { body } = await httpGet(new URL(server.url), {}, RULES, new AbortController().signal);
  later({ stop: () => Promise.resolve(void body.destroy()) });
  return body;
}

describe('the body of a download', () => {
  for (const [how, answer] of [
    ['with its length', good(BODY)],
    ['in chunks', chunked(BODY)],
  ] as const) {
    it(`comes in pieces that stay as they came, ${how}`, async () => {
      const pieces: Buffer[] = [];
      await consume(await ask(answer), (piece) => {
        pieces.push(piece);
        return null;
      });
      assert.ok(pieces.length > 1);
      assert.ok(Buffer.concat(pieces).equals(BODY));
    });
  }

  it('waits in the line while nobody takes it, and is then whole', async () => {
    const body = await ask(good(BODY));
    const pieces: Buffer[] = [];
    await new Promise<void>((resolve, reject) => {
      body.on('error', reject).once('end', resolve);
      body.on('data', (piece: Buffer) => {
        pieces.push(piece);
        if (pieces.length > 1) return;
        body.pause();
        holdBack(body).then(() => body.resume(), reject);
      });
    });
    assert.ok(Buffer.concat(pieces).equals(BODY));
  });
});

/** Until as much waits as may, and for some turns of the loop, each of which would read on. */
async function holdBack(body: HttpAnswer['body']): Promise<void> {
  await until(() => body.readableLength >= BATCH_BYTES, 'a full buffer');
  for (let turns = 0; turns < 50; turns += 1) await turn();
  // What was missing, and a read more.
  assert.ok(body.readableLength < 2 * BATCH_BYTES + 1, String(body.readableLength));
}
