/** Whatever servers do, in whatever order: a file with the final name is the right one, whole. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { failureStep } from '../../nodes/lib/packages/verify';
import { digestOf, startVerifier, upgradeTo } from './support/packages';
import { type Answer, chunked, cutAt, good, head, raw, stallAt, startServer, status } from './support/server';

const BODY = randomBytes(5000);
const OTHER = randomBytes(5000);
const LONGER = Buffer.concat([BODY, Buffer.from('x')]);

/** 206 for whatever was asked, true or not. */
const part = (body: Buffer, from: number, told: number, total: number): Answer => {
  const headers = { 'Content-Range': `bytes ${told}-${total - 1}/${total}` };
  return (socket) => void socket.end(Buffer.concat([Buffer.from(head(206, headers)), body.subarray(from)]));
};
const at = fc.nat(BODY.length);
const body = fc.constantFrom(BODY, BODY, OTHER, LONGER);
const answer: fc.Arbitrary<Answer> = fc.oneof(
  body.map((bytes) => good(bytes)),
  fc.tuple(body, at).map(([bytes, n]) => cutAt(bytes, n)),
  { arbitrary: fc.tuple(body, at).map(([bytes, n]) => cutAt(bytes, n)), weight: 3 },
  at.map((n) => stallAt(BODY, n)),
  fc.tuple(body, at).map(([bytes, n]) => raw(bytes.subarray(0, n), {})),
  body.map((bytes) => chunked(bytes)),
  fc.tuple(body, at).map(([bytes, n]) => raw(bytes.subarray(0, n), { 'Content-Length': BODY.length })),
  fc.tuple(body, at, at).map(([bytes, from, told]) => part(bytes, from, told, BODY.length)),
  fc.constantFrom(200, 204, 206, 302, 404, 416, 429, 500, 503).map((code) => status(code)),
  fc.constant<Answer>((socket) => void socket.resetAndDestroy()),
  fc.uint8Array({ maxLength: 300 }).map(
    (noise): Answer =>
      (socket) =>
        void socket.end(Buffer.from(noise)),
  ),
);

describe('any sequence of answers', () => {
  it('ends in the right file or in a reason, and never in a wrong file', async function () {
    this.timeout(240_000);
    await fc.assert(
      fc.asyncProperty(
        fc.array(answer, { minLength: 1, maxLength: 6 }),
        fc.constantFrom({}, { size: null }, { sign: digestOf(BODY, 'md5'), signMethod: 'md5' }),
        fc.integer({ min: 1, max: 3 }),
        async (answers, fields, lives) => {
          const server = await startServer(answers);
          const test = await startVerifier({ stallMs: 60, retries: 2 });
          try {
            for (let life = 0; life < lives; life += 1) {
              const node = await startVerifier({ stallMs: 60, retries: 2, directory: test.directory });
              const upgrade = upgradeTo(BODY, server.url, fields);
              const verified = await node.verify(upgrade).catch((error: unknown) => error);
              if (verified instanceof Error)
                assert.ok(failureStep((verified as never)['code']) < 0, verified.message);
              await node.stop();
              for (const name of await test.finished()) {
                assert.deepEqual(await fs.readFile(path.join(test.directory, name)), BODY);
              }
            }
          } finally {
            await test.stop();
            await server.stop();
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});
