/** The memory of a download: a process of its own for each size, its peak as the operating system saw it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import path from 'node:path';
import { promisify } from 'node:util';
import { cleanup } from '../support/cleanup';
import { listen } from '../support/ports';
import { temporaryFolder } from '../support/temporary-folder';

const later = cleanup();
const MIB = 1024 * 1024;
const BLOCK = randomBytes(MIB);
/** Of a package sixteen times as large: what V8 lets lie about before it looks, not what it holds. */
const MORE_MIB = 48;

describe('the memory of a download', () => {
  it('is that of a small package for a large one', async function () {
    this.timeout(240_000);
    const url = await startEndless();
    const small = await download(url, 16);
    const large = await download(url, 256);
    assert.ok(
      large - small < MORE_MIB,
      `${small.toFixed()} MiB for 16 MiB, ${large.toFixed()} MiB for 256 MiB`,
    );
  });
});

/** Serves GET /<MiB>. @returns its address */
async function startEndless(): Promise<string> {
  const server = http.createServer((request, response) => {
    let left = Number(request.url?.slice(1));
    response.writeHead(200, { 'Content-Length': left * MIB });
    const send = (): void => {
      while (left > 0) {
        left -= 1;
        if (!response.write(BLOCK)) return void response.once('drain', send);
      }
      response.end();
    };
    send();
  });
  const port = await listen(server);
  later({ stop: () => new Promise<void>((resolve) => void server.close(() => resolve())) });
  return `http://127.0.0.1:${port}`;
}

/** @returns the peak memory of its process, in MiB */
async function download(url: string, mebibytes: number): Promise<number> {
  const folder = later(await temporaryFolder());
  const hash = createHash('sha256');
  for (let done = 0; done < mebibytes; done += 1) hash.update(BLOCK);
  const upgrade = {
    version: 'v1.1',
    size: mebibytes * MIB,
    url: `${url}/${mebibytes}`,
    signMethod: 'SHA256',
    sign: hash.digest('hex'),
  };
  const script = path.join(__dirname, 'support/memory-child.ts');
  const args = ['--import', 'tsx', script, folder.path, JSON.stringify(upgrade)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const { bytes, peakMiB } = JSON.parse(stdout) as { bytes: number; peakMiB: number };
  assert.equal(bytes, mebibytes * MIB);
  return peakMiB;
}
