/**
 * Which devices a task is for, and which of its packages a device gets. Pure; a preview, a push and a joining
 * device all ask here.
 */
import type { DeviceFilter, LabelFilter, Labels, Policy, TaskPlan } from '../types';

/** What is known of a device when its turn comes. */
export interface Candidate {
  /** The version of the package's module that it runs; null where nobody knows. */
  readonly version: string | null;
  readonly labels: Labels;
}

/**
 * What a device gets: the place of its package among the task's, or why it gets none. `version`: the task isn't
 * for the version that it runs; `incompatible`: none of the packages is for it.
 */
export type Choice = number | 'version' | 'incompatible';

/** The first package that fits. */
export function choosePackage(
  { policy, packages }: Pick<TaskPlan, 'policy' | 'packages'>,
  device: Candidate,
): Choice {
  if (!fitsVersion(policy, device.version)) return 'version';
  const found = packages.findIndex(
    ({ fromVersions, requires }) =>
      isAmong(fromVersions, device.version) && (requires === null || matchesLabels(requires, device.labels)),
  );
  return found === -1 ? 'incompatible' : found;
}

/** True where a task is for devices of a version (null: unknown). */
export function fitsVersion(policy: Policy, version: string | null): boolean {
  return isAmong(policy.fromVersions, version);
}

function isAmong(versions: readonly string[], version: string | null): boolean {
  return versions.length === 0 || (version !== null && versions.includes(version));
}

/** True where each label that is asked for is there, with one of its values. */
export function matchesLabels(filter: LabelFilter, labels: Labels): boolean {
  return Object.entries(filter).every(
    ([name, values]) => Object.hasOwn(labels, name) && values.includes(labels[name] ?? ''),
  );
}

/**
 * True where a filter takes a device in.
 * @param version what it runs of the filter's module
 */
export function matchesFilter(
  filter: DeviceFilter,
  { version, labels }: { readonly version: string; readonly labels: Labels },
): boolean {
  if (filter.versions !== null && !filter.versions.includes(version)) return false;
  return filter.labels === null || matchesLabels(filter.labels, labels);
}

/** Joining tasks of a fleet that are open at most: each report is held against all of them. */
export const MAX_JOINING_TASKS = 64;

/**
 * The wave of a device that joins: drawn by the waves' percentages, always the same for a task and a token.
 * @param waves cumulative percentages, the last of them 100
 * @returns counts from 1
 */
export function waveOfJoiner(taskId: string, accessToken: string, waves: readonly number[]): number {
  const drawn = (hash(`${taskId}\n${accessToken}`) / 2 ** 32) * 100;
  const found = waves.findIndex((percent) => drawn < percent);
  return (found === -1 ? waves.length - 1 : found) + 1;
}

/** The place of a device that joins within its wave: drawn as well, so that neighbours don't go together. */
export function orderOfJoiner(taskId: string, accessToken: string): number {
  return hash(`${accessToken}\n${taskId}`) >>> 1;
}

/** FNV-1a with the finish of MurmurHash3: even over all 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  }
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
