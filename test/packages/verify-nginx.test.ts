/** A download from a real web server, over a line that is cut again and again. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { cleanup } from '../support/cleanup';
import { requireProgram } from '../support/missing';
import { startNginx } from '../support/nginx';
import { startTcpProxy } from '../support/tcp-proxy';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { digestOf, startVerifier, upgradeTo } from './support/packages';

/** After the last cut more is left than nginx sends at once and the line holds. */
const BODY = randomBytes(12_000_000);
const later = cleanup();

describe('a download from nginx', () => {
  it('goes on after three cuts, and fetches no byte twice but those on their way', async function () {
    requireProgram(this, 'nginx', 'nginx-light');
    const folder = later(await temporaryFolder());
    await fs.mkdir(path.join(folder.path, 'files'));
    await fs.writeFile(path.join(folder.path, 'files/fw.bin'), BODY);
    const nginx = later(await startNginx(folder.path, 'limit_rate 8m;'));
    const proxy = later(await startTcpProxy(nginx.port));
    const test = later(await startVerifier({ stallMs: 5000 }));
    const cuts = [1_000_000, 2_500_000, 4_000_000];
    let lastCut = 0;
    const onBytes = (bytes: number): void => {
      // What was read before a cut may still come after it: each cut is of a connection of its own.
      if (bytes < (cuts[0] ?? Infinity) || lastCut === proxy.accepted) return;
      cuts.shift();
      lastCut = proxy.accepted;
      proxy.cut();
    };
    const upgrade = upgradeTo(BODY, `http://127.0.0.1:${proxy.port}/fw.bin`);
    const { filename, digest } = await test.verify(upgrade, { onBytes });
    assert.equal(digest, digestOf(BODY));
    assert.deepEqual(await fs.readFile(filename), BODY);
    // It writes its log after the answer has gone.
    const lines = await until(async () => {
      const all = (await fs.readFile(nginx.log, 'utf8')).split('\n');
      const parts = all.filter((line) => line.includes('bytes='));
      return parts.length >= 3 ? parts : null;
    }, 'three parts in the log');
    const starts = lines.map((line) => Number(/bytes=([0-9]+)-/.exec(line)?.[1]));
    assert.equal(starts.length, 3);
    assert.ok(lines.every((line) => line.startsWith('206')));
    assert.ok(starts[0]! >= 1_000_000 && starts[1]! >= 2_500_000 && starts[2]! >= 4_000_000, String(starts));
  });
});
