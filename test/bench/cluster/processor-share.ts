/**
 * Holds a process to a part of one processor by a control group of Linux, so that instances on one machine have what
 * they would have on machines of their own. Needs root. Owns the group; the process belongs to whoever started it.
 */
import fs from 'node:fs';
import path from 'node:path';

/** Short, so that a process that has used up its part waits some milliseconds and not a tenth of a second. */
const PERIOD_US = 10_000;

/** How each version of control groups is told. */
const HIERARCHIES = [
  {
    root: '/sys/fs/cgroup/cpu',
    has: (root: string) =>
      fs.existsSync(path.join(root, 'cpu.cfs_quota_us')) || fs.existsSync(path.join(root, 'cpu.shares')),
    limits: (quota: number): readonly (readonly [string, string])[] => [
      ['cpu.cfs_period_us', String(PERIOD_US)],
      ['cpu.cfs_quota_us', String(quota)],
    ],
  },
  {
    root: '/sys/fs/cgroup',
    has: (root: string) => /\bcpu\b/.test(read(path.join(root, 'cgroup.subtree_control'))),
    limits: (quota: number): readonly (readonly [string, string])[] => [['cpu.max', `${quota} ${PERIOD_US}`]],
  },
] as const;

/** Why no process can be held to a part of a processor here; null: it can. */
export function missingProcessorShares(): string | null {
  if (process.getuid?.() !== 0) return 'control groups need root';
  return HIERARCHIES.some(({ root, has }) => has(root))
    ? null
    : 'this machine has no control group of processors';
}

/**
 * @param pid of a process that may still start threads; they are held too
 * @param part of one processor, 0.1 to 1
 * @returns takes the group away; only once the process has ended
 */
export function holdToShare(pid: number, part: number): () => void {
  const hierarchy = HIERARCHIES.find(({ root, has }) => has(root));
  if (hierarchy === undefined) throw new Error('this machine has no control group of processors');
  const group = path.join(hierarchy.root, `ota-bench-${pid}`);
  fs.mkdirSync(group);
  for (const [name, value] of hierarchy.limits(Math.round(part * PERIOD_US))) {
    fs.writeFileSync(path.join(group, name), value);
  }
  fs.writeFileSync(path.join(group, 'cgroup.procs'), String(pid));
  return () => fs.rmdirSync(group);
}

function read(file: string): string {
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
}
