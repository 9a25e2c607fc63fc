/**
 * Folders of packages that are on their way in or out, by their names. Owns who may take one away: several instances
 * may use one folder over a network, and what looks like the rest of a crash may be what another one writes.
 *
 *   .adding-<id>-<where>-<pid>   on its way in, by this process of that machine
 *   .removing-<id>               on its way out
 */
import { createHash } from 'node:crypto';
import { type Dirent, readFileSync, readlinkSync } from 'node:fs';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

const HALF_DONE = /^\.(?:removing-[0-9a-f]{32}|adding-[0-9a-f]{32}(?:-([0-9a-f]{16})-([0-9]{1,10}))?)$/;
/** Who adds a package shows so often that it is at it. */
const SHOW_MS = 10_000;
/** A folder of another machine that looked the same for so long is left by a crash. NFS tells a change within 60 s. */
const WATCH_MS = 180_000;

/** Where process ids mean the same processes: on Linux one boot of one machine, and one container on it. */
function whereAmI(): string {
  let place: string;
  try {
    place = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8') + readlinkSync('/proc/self/ns/pid');
  } catch {
    place = os.hostname();
  }
  return createHash('sha256').update(place).digest('hex').slice(0, 16);
}

const where = whereAmI();

export function addingName(id: string): string {
  return `.adding-${id}-${where}-${process.pid}`;
}

export function removingName(id: string): string {
  return `.removing-${id}`;
}

/** Shows others that this instance is at a folder, until the returned function is called. */
export function showWork(folder: string, everyMs = SHOW_MS): () => void {
  const timer = setInterval(() => {
    const now = new Date();
    // One that is gone, or can't be touched, shows itself elsewhere.
    fs.utimes(folder, now, now).catch(() => undefined);
  }, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}

/**
 * Takes away what a crash left: at once what surely is of nobody, and what another instance may be writing when it
 * has not changed for a while. No clock is compared: those of machines differ.
 */
export async function tidy(directory: string, entries: readonly Dirent[], watchMs = WATCH_MS): Promise<void> {
  const found = entries
    .filter(({ name }) => HALF_DONE.test(name))
    .map(({ name }) => path.join(directory, name));
  const doubtful: string[] = [];
  for (const folder of found) {
    if (mayBeAtWork(path.basename(folder))) doubtful.push(folder);
    else await fs.rm(folder, { recursive: true, force: true });
  }
  if (doubtful.length === 0) return;
  const seen = await Promise.all(doubtful.map(lookOf));
  const timer = setTimeout(() => {
    void Promise.all(doubtful.map((folder, i) => removeUnchanged(folder, seen[i] ?? '')));
  }, watchMs);
  timer.unref();
}

/** False for one without an owner, and for one of a process that was here and is gone. */
function mayBeAtWork(name: string): boolean {
  const [, place, pid] = HALF_DONE.exec(name) ?? [];
  if (place === undefined) return false;
  return place !== where || isRunning(Number(pid));
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Of another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** What changes while somebody works there; blank where it is gone. */
async function lookOf(folder: string): Promise<string> {
  const stat = await fs.stat(folder, { bigint: true }).catch(() => null);
  return stat === null ? '' : String(stat.mtimeNs);
}

async function removeUnchanged(folder: string, before: string): Promise<void> {
  if (before === '' || (await lookOf(folder)) !== before) return;
  // What can't be taken away now goes at the next start.
  await fs.rm(folder, { recursive: true, force: true }).catch(() => undefined);
}
