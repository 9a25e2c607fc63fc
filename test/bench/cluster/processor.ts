/** Processor time of a server of several processes, as Linux counts it. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

/** Milliseconds of one of the kernel's clock ticks. */
const TICK_MS = 1000 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** Milliseconds that a process, its children, and those of them that have ended, have used. */
export function treeCpuMs(pid: number): number {
  const own = cpuOf(pid);
  const children = fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => cpuOf(Number(name)))
    .filter(({ parent }) => parent === pid);
  return own.withEnded + children.reduce((sum, { ticks }) => sum + ticks * TICK_MS, 0);
}

/** The process id of a PostgreSQL server. @param data its folder */
export function postmaster(data: string): number {
  return Number(fs.readFileSync(path.join(data, 'postmaster.pid'), 'utf8').split('\n')[0]);
}

function cpuOf(pid: number): { parent: number; ticks: number; withEnded: number } {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Behind the name, which may have any character in it: state, parent, … utime, stime, cutime, cstime.
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = fields.slice(11, 15);
    const ticks = user + system;
    return { parent: fields[1] ?? 0, ticks, withEnded: (ticks + endedUser + endedSystem) * TICK_MS };
  } catch {
    // It has ended since it was listed.
    return { parent: 0, ticks: 0, withEnded: 0 };
  }
}
