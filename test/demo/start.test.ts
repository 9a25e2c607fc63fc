/** `npm start`: however it is ended, nothing of it stays. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../../scripts/build/paths';
import { claim } from '../../scripts/demo/claim';
import { startChild } from '../support/child';
import { cleanup } from '../support/cleanup';
import { requireProgram } from '../support/missing';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';

/** True where nobody listens on 127.0.0.1. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', () => resolve(true));
  });
}

/** The processes that one has started, and those that they have. */
async function descendants(pid: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'pid=,ppid=']);
  const all = stdout.split('\n').map((line) => line.trim().split(/\s+/).map(Number));
  const of = (parent: number): number[] =>
    all.flatMap(([child, its]) => (child !== undefined && its === parent ? [child, ...of(child)] : []));
  return of(pid);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('npm start', function () {
  this.timeout(240_000);
  const later = cleanup();

  it('leaves neither Node-RED nor a folder behind where npm is ended', async function () {
    requireProgram(this, 'ps', 'procps');
    const folders = async (): Promise<string[]> => fs.readdir(path.join(ROOT, '.demo')).catch(() => []);
    const before = new Set(await folders());
    const npm = startChild('npm', ['start', '--', '--once'], { cwd: ROOT });
    later({ stop: () => npm.end('SIGKILL') });
    const [, port] = await until(
      () => npm.lines.map((line) => /127\.0\.0\.1:(\d+)\/ota-example/.exec(line)).find((found) => found),
      'the push to be told',
      200_000,
    );
    const processes = await descendants(npm.process.pid ?? 0);
    assert.notEqual(processes.length, 0);
    npm.process.kill('SIGTERM');
    await until(() => isFree(Number(port)), 'Node-RED to end');
    await until(async () => (await folders()).every((name) => before.has(name)), 'the folder to go');
    await until(() => !processes.some(isAlive), 'all its processes to end');
  });

  it('refuses a user directory that another process works in, and takes over one that was left', async () => {
    const folder = later(await temporaryFolder('ota-demo-'));
    const directory = path.join(folder.path, 'node-red');
    const other = startChild(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    later({ stop: () => other.end('SIGKILL') });
    await fs.writeFile(`${directory}.pid`, String(other.process.pid));
    await assert.rejects(claim(directory), new RegExp(`already, as process ${other.process.pid}`));
    await other.end('SIGKILL');
    const release = await claim(directory);
    await release();
    assert.deepEqual(await fs.readdir(folder.path), []);
  });
});
