/**
 * The files of a download folder: how they are named and who may stay. No name holds more of a URL or a
 * message than a few harmless characters; what tells files apart is a hash.
 *
 *   MCU-1.1.0-<module 8><content 16>.bin            verified, complete
 *   MCU-1.1.0-<module 8><package 16>.<node 8>.part  on its way, with `.part.json` beside it (see transfer/partial.ts)
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { fileError } from '../transfer/files';
import { sidecarName } from '../transfer/partial';
import type { Expectation } from './expectation';

const FINAL = /-([0-9a-f]{8})[0-9a-f]{16}\.bin$/;
const PARTIAL = /-[0-9a-f]{24}\.([0-9a-f]{8})\.part(\.json(\.bad)?|\.new)?$/;
/** What a crash or a failed download left, and nobody asked for again, goes after this. */
const PARTIAL_AGE_MS = 7 * 24 * 60 * 60 * 1000;
/** Half-done downloads of one node that are kept for another try. */
const MAX_PARTIALS = 4;

/** The name of a verified file: the same content of the same version has the same name. */
export function finalName(
  expected: Pick<Expectation, 'module' | 'version' | 'method'>,
  digest: string,
): string {
  return `${packagePrefix(expected)}${hash([expected.version, expected.method, digest], 16)}.bin`;
}

/**
 * The name of a download under way. Where a digest is known, the address doesn't count: a new, signed
 * address of the same package goes on where the old one stopped.
 * @param owner the node: two nodes with one folder never write the same file
 */
export function partialName(expected: Expectation, url: string, owner: string): string {
  const { version, method, sign, signedSha256 } = expected;
  const known = sign !== '' || signedSha256 !== '';
  const identity = known ? [version, method, sign, signedSha256] : [version, url];
  return `${packagePrefix(expected)}${hash(identity, 16)}.${ownerTag(owner)}.part`;
}

/** What the names of all files of a module's version begin with. */
export function packagePrefix({ module, version }: Pick<Expectation, 'module' | 'version'>): string {
  return `${harmless(module)}-${harmless(version)}-${hash([module], 8)}`;
}

function harmless(text: string): string {
  return (
    text
      .slice(0, 32)
      .replace(/[^A-Za-z0-9._-]/g, '_')
      .replace(/^[.-]+/, '') || '_'
  );
}

/** Tells the module of a verified file, or null where a name is none. */
export function moduleTagOf(name: string): string | null {
  return FINAL.exec(name)?.[1] ?? null;
}

export function isPartial(name: string): boolean {
  return PARTIAL.test(name);
}

function ownerTag(owner: string): string {
  return hash(['node', owner], 8);
}

function hash(parts: readonly string[], characters: number): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, characters);
}

/**
 * Removes partial files of earlier runs that no download can or will go on with: those without a
 * description, those beyond the newest four of this node, and anybody's that are a week old: but not what belongs
 * to an upgrade in work, since a clock that was wrong when they were written makes them look old.
 * @param inUse names of partial files that are being written now
 * @param inWork upgrades that will ask for theirs again
 */
export async function sweepPartials(
  directory: string,
  owner: string,
  inUse: ReadonlySet<string>,
  inWork: () => readonly Pick<Expectation, 'module' | 'version'>[] = () => [],
): Promise<void> {
  const names = await fs.readdir(directory).catch(emptyWhereAbsent);
  const all = new Set(names);
  const found = names.filter((name) => PARTIAL.test(name) && !inUse.has(partOf(name)));
  let kept = 0;
  const files = await withAges(directory, found);
  const wanted = inWork().map(packagePrefix);
  for (const { name, at } of files) {
    const isWanted = wanted.some((prefix) => name.startsWith(prefix));
    const beyond = !isWanted && isOwn(name, owner) && isPart(name) && ++kept > MAX_PARTIALS;
    if (!beyond && isPartialToKeep(name, isWanted ? Infinity : at, all, owner)) continue;
    await fs.rm(path.join(directory, name), { force: true });
    if (isPart(name)) await fs.rm(path.join(directory, sidecarName(name)), { force: true });
  }
}

function isPartialToKeep(name: string, at: number, all: ReadonlySet<string>, owner: string): boolean {
  if (Date.now() - at > PARTIAL_AGE_MS) return false;
  if (!isOwn(name, owner)) return true;
  // Bytes that were to take a part's place are of no use once nobody compares them.
  if (name.endsWith('.new')) return false;
  return isPart(name) ? all.has(sidecarName(name)) : all.has(partOf(name));
}

function isOwn(name: string, owner: string): boolean {
  return PARTIAL.exec(name)?.[1] === ownerTag(owner);
}

/** The half-done file that a name belongs to. */
export function partOf(name: string): string {
  return name.replace(/(\.json(\.bad)?|\.new)$/, '');
}

function isPart(name: string): boolean {
  return name.endsWith('.part');
}

/** Newest first; a file that went meanwhile is left out. */
export async function withAges(
  directory: string,
  names: readonly string[],
): Promise<{ name: string; at: number }[]> {
  const files: { name: string; at: number }[] = [];
  for (const name of names) {
    const stat = await fs.stat(path.join(directory, name)).catch(() => null);
    if (stat !== null) files.push({ name, at: stat.mtimeMs });
  }
  return files.sort((a, b) => b.at - a.at);
}

function emptyWhereAbsent(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw fileError(error);
}
