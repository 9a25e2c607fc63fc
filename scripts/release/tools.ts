/**
 * What the release is checked with and the project doesn't depend on: other releases of Node-RED and Node.js,
 * the flow library's scorecard. Each is installed by npm into a folder of its own in the user's cache: outside
 * of the checkout, so that nothing of the project's node_modules is found from there.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const CACHE = path.join(process.env['XDG_CACHE_HOME'] ?? path.join(os.homedir(), '.cache'), 'node-red-ota');

/** The newest version that a range or tag means today, e.g. `22.23.3` for `22`. */
export async function newest(name: string, range: string): Promise<string> {
  const { stdout } = await npm(['view', `${name}@${range}`, 'version', '--json'], os.tmpdir());
  const answer = JSON.parse(stdout) as string | string[];
  const version = typeof answer === 'string' ? answer : answer.at(-1);
  if (version === undefined) throw new Error(`There is no ${name}@${range}`);
  return version;
}

/** A folder in whose node_modules the package is installed, kept for the next time. */
export async function installedTool(name: string, version: string): Promise<string> {
  const folder = path.join(CACHE, `${name.replaceAll('/', '+')}@${version}`);
  if (existsSync(folder)) return folder;
  // Made beside it and renamed: a run that is cut off, or another at the same time, leaves no half of it.
  await fs.mkdir(CACHE, { recursive: true });
  const made = await fs.mkdtemp(path.join(CACHE, 'new-'));
  try {
    await fs.writeFile(path.join(made, 'package.json'), JSON.stringify({ private: true }));
    // Engines are for the Node.js that will run it, which needn't be this one.
    const quiet = ['--no-audit', '--no-fund', '--no-save', '--ignore-scripts', '--loglevel=error'];
    await npm(['install', ...quiet, `${name}@${version}`], made);
    await fs.rename(made, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await fs.rm(made, { recursive: true, force: true });
  }
  return folder;
}

function npm(args: readonly string[], cwd: string): Promise<{ stdout: string; stderr: string }> {
  return run('npm', [...args], { cwd, maxBuffer: 16 * 1024 * 1024, shell: process.platform === 'win32' });
}
