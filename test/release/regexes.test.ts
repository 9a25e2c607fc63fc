/**
 * Regular expressions see what devices, servers and flows send: none may take longer than in proportion to its text. One
 * that takes the square of it would need days for 1 MB; the time is not measured, it has to come to its end.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { startChild } from '../support/child';
import { cleanup } from '../support/cleanup';
import { until } from '../support/wait';
import { compile, expressions, hostileTexts } from './regexes';

/** For all of them; a good one needs some thousandths of it. */
const PATIENCE_MS = 200_000;

describe('the regular expressions of the sources', function () {
  this.timeout(PATIENCE_MS + 30_000);
  const later = cleanup();

  it('come to their end with 1 MB of whatever they search for', async () => {
    const child = startChild(process.execPath, ['--import=tsx', path.join(__dirname, 'regexes-child.ts')]);
    later({ stop: () => child.end('SIGKILL') });
    await until(() => !child.running || child.lines.at(-1) === 'done', 'the last of them', PATIENCE_MS).catch(
      () => assert.fail(`not at its end: ${String(child.lines.at(-1))}`),
    );
    assert.equal(child.lines.at(-1), 'done', child.lines.slice(-5).join('\n'));
    assert.ok(child.lines.length > 50, 'they were found');
  });

  it('would be found where they do not', () => {
    const slow = compile(String.raw`/^(a|b|ab)*$/`);
    const texts = hostileTexts(String.raw`/\s+$/`, 2000);
    assert.ok(texts.some((text) => text.startsWith(' '.repeat(2000))));
    assert.ok(slow.test('abab'));
    assert.ok(expressions().every(({ text }) => compile(text).source !== ''));
  });
});
