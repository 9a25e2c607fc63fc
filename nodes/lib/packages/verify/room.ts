/**
 * What of a download folder may go, and in which order: verified files beyond those that are kept, and, where the
 * disk is short of room, half-done files and older verified ones. Never touches a file that is in work.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { methodOfSign, OtaError, readSignMethod } from '../../protocol';
import { checkFreeSpace, hasRoom } from '../transfer/files';
import { finalName, isPartial, moduleTagOf, packagePrefix, partOf, withAges } from './folder';
import type { FileUses, Users } from './uses';

/** An upgrade whose file somebody may still need. */
export interface FileInWork {
  readonly module: string;
  readonly version: string;
  readonly signMethod: string | null;
  readonly sign: string | null;
}

export interface RoomOptions {
  readonly directory: string;
  readonly keep: number;
  readonly uses: FileUses;
  readonly inWork: () => readonly FileInWork[];
}

/** Half-done files that are being written, of every node of this process; absolute paths. */
const writing = new Set<string>();

/** Keeps others from taking a half-done file away; returns what ends that. */
export function protectPartial(directory: string, name: string): () => void {
  const file = path.resolve(directory, name);
  writing.add(file);
  return () => writing.delete(file);
}

/**
 * Removes the verified files of the module of `justMade` that aren't among the newest `keep` of any device that
 * used them.
 */
export async function keepNewest(options: RoomOptions, justMade: string): Promise<void> {
  const { directory, keep, uses } = options;
  const module = moduleTagOf(justMade);
  const names = await fs.readdir(directory);
  const files = await withAges(
    directory,
    names.filter((name) => moduleTagOf(name) !== null && moduleTagOf(name) === module),
  );
  const kept = new Set([justMade]);
  const users = new Map(files.map((file) => [file.name, usersOf(uses, file)]));
  for (const user of new Set([...users.values()].flatMap((each) => [...each.keys()]))) {
    const own = files.filter(({ name }) => users.get(name)?.has(user));
    const at = (name: string): number => users.get(name)?.get(user) ?? 0;
    own.sort((a, b) => at(b.name) - at(a.name));
    for (const { name } of own.slice(0, keep)) kept.add(name);
  }
  const isInWork = inWorkTest(options);
  for (const { name } of files) {
    if (kept.has(name) || isInWork(name)) continue;
    await fs.rm(path.join(directory, name), { force: true });
    uses.forget(name);
  }
}

/** A file that nobody is known to have used counts from when it was made. */
function usersOf(uses: FileUses, { name, at }: { name: string; at: number }): Users {
  const users = uses.usersOf(name);
  return users.size === 0 ? new Map([['', at]]) : users;
}

/**
 * Makes room for a download.
 * @param own the half-done file that the room is for
 * @throws OtaError OTA_DISK_FULL where all that may go has gone and there still isn't enough
 */
export async function makeRoom(options: RoomOptions, own: string, bytes: number): Promise<void> {
  while (!(await hasRoom(options.directory, bytes))) {
    if (!(await removeOne(options, own))) return checkFreeSpace(options.directory, bytes);
  }
}

/** Removes the file that is needed least. @returns false where nothing may go */
export async function removeOne(options: RoomOptions, own: string): Promise<boolean> {
  const { directory, uses } = options;
  const names = await fs.readdir(directory).catch(() => []);
  for (const name of await candidates(options, names, own)) {
    const file = path.join(directory, name);
    try {
      await fs.rm(file);
      uses.forget(name);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
      // One that can't be removed makes no room: the next.
    }
  }
  return false;
}

/** Half-done files, the oldest first; then verified ones: of the same module, then others, the oldest first. */
async function candidates(options: RoomOptions, names: readonly string[], own: string): Promise<string[]> {
  const { directory, uses } = options;
  const byAge = async (some: readonly string[]): Promise<string[]> =>
    (await withAges(directory, some)).reverse().map(({ name }) => name);
  const partials = names.filter(
    (name) => isPartial(name) && partOf(name) !== own && !writing.has(path.resolve(directory, partOf(name))),
  );
  const isInWork = inWorkTest(options);
  const verified = await withAges(
    directory,
    names.filter((name) => moduleTagOf(name) !== null && !isInWork(name)),
  );
  const lastUse = (file: { name: string; at: number }): number => Math.max(...usersOf(uses, file).values());
  const ownModule = /-([0-9a-f]{8})[0-9a-f]{16}\.[0-9a-f]{8}\.part$/.exec(own)?.[1];
  const rank = ({ name }: { name: string }): number => (moduleTagOf(name) === ownModule ? 0 : 1);
  verified.sort((a, b) => rank(a) - rank(b) || lastUse(a) - lastUse(b));
  return [...(await byAge(partials)), ...verified.map(({ name }) => name)];
}

/** Tells which files belong to an upgrade that is in work. */
function inWorkTest({ inWork }: RoomOptions): (name: string) => boolean {
  const exact = new Set<string>();
  const prefixes: string[] = [];
  for (const upgrade of inWork()) {
    const sign = upgrade.sign ?? '';
    const method = readSignMethod(upgrade.signMethod ?? '') ?? methodOfSign(sign);
    if (sign === '' || method === null) prefixes.push(packagePrefix(upgrade));
    else exact.add(finalName({ ...upgrade, method }, sign.toLowerCase()));
  }
  return (name) => exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix));
}

/** An error that changes no answer, as one of ours. */
export function roomFault(error: unknown): OtaError {
  return error instanceof OtaError
    ? error
    : new OtaError('OTA_FILE', "Older files of the download folder can't be removed.", { cause: error });
}
