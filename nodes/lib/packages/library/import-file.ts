/**
 * Brings a package's file into a folder, whatever it comes from, and measures it in the same pass. Memory holds
 * a few megabytes at most; what was brought is on the disk when a function returns.
 */
import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { HASH_NAME, OtaError, type SignMethod } from '../../protocol';
import { type Digests, tooLarge, type WantedContent } from '../transfer/content';
import { download, type OnBytes } from '../transfer/download';
import { checkFreeSpace, syncDirectory } from '../transfer/files';
import { checkUrl, type HostRules, isLocalHost } from '../transfer/hosts';
import { BATCH_BYTES, HashingFileWriter } from '../transfer/hashing-file-writer';
import { fullJitter } from '../transfer/retry';
import { folderError } from './folder-errors';

export type PackageSource =
  | { readonly kind: 'content'; readonly content: Uint8Array }
  | { readonly kind: 'file'; readonly filename: string }
  | { readonly kind: 'url'; readonly url: string };

export interface Measured {
  readonly size: number;
  /** SHA256 always, and the method that was asked for. */
  readonly digests: Digests;
  /**
   * To be called once the package stands: takes away what was moved.
   * @param stored the package's file, or null where an equal package is there
   */
  readonly settle: (stored: string | null) => Promise<void>;
}

export interface ImportOptions {
  readonly method: SignMethod;
  readonly maxBytes: number;
  readonly hosts: HostRules;
  readonly stop: AbortSignal;
  readonly onBytes: OnBytes;
}

const STALL_MS = 30_000;
const TOTAL_MS = 60 * 60 * 1000;
const RETRIES = 3;
const MAX_REDIRECTS = 5;
const STICKY = 0o1000;
/** For its owner only. */
const FILE_MODE = 0o600;
const NO_LINKS: ReadonlySet<string> = new Set([
  'EXDEV',
  'EPERM',
  'EACCES',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
  'EMLINK',
  'EINVAL',
]);
/** A package's own name never begins with a dot: what is removed with the half-done file is never the package. */
const PARTIAL = '.download.part';
const WHOSE_FILE = 'The file of msg.filename';

const nothingToSettle = (): Promise<void> => Promise.resolve();

/** Brings the file to `target`, which must not be there yet. @throws OtaError */
export async function importFile(
  source: PackageSource,
  target: string,
  options: ImportOptions,
): Promise<Measured> {
  switch (source.kind) {
    case 'content':
      return importContent(source.content, target, options);
    case 'file':
      return importPath(path.resolve(source.filename), target, options);
    case 'url':
      return importUrl(source.url, target, options);
  }
}

async function importContent(content: Uint8Array, target: string, options: ImportOptions): Promise<Measured> {
  checkSize(content.length, options.maxBytes);
  await checkFreeSpace(path.dirname(target), content.length);
  const writer = await HashingFileWriter.create(target, methods(options));
  try {
    for (let at = 0; at < content.length; at += BATCH_BYTES) {
      options.stop.throwIfAborted();
      await writer.write(content.subarray(at, at + BATCH_BYTES));
      await writer.flush();
      options.onBytes(writer.bytes, content.length);
    }
    await writer.commit(target);
  } catch (error) {
    await writer.close();
    throw error;
  }
  return { size: writer.bytes, digests: writer.digests(), settle: nothingToSettle };
}

/**
 * An address of this machine only where the node allows it, and never where a server of another machine redirects
 * to it: what only this machine can reach isn't to be fetched for all devices.
 */
async function importUrl(text: string, target: string, options: ImportOptions): Promise<Measured> {
  const { hosts } = options;
  const url = checkUrl(text, hosts);
  const directory = path.dirname(target);
  const wanted: WantedContent = {
    size: null,
    methods: methods(options),
    isKnown: false,
    check: () => {},
    fileName: () => path.basename(target),
  };
  const rules = {
    ...hosts,
    directory,
    retries: RETRIES,
    stallMs: STALL_MS,
    totalMs: TOTAL_MS,
    maxBytes: options.maxBytes,
    maxRedirects: MAX_REDIRECTS,
    allowLocalRedirects: hosts.allowLocal && isLocalHost(url),
    backoff: (retry: number) => fullJitter(retry),
  };
  const stored = await download(url, wanted, PARTIAL, rules, options.stop, options.onBytes);
  checkSize(stored.bytes, options.maxBytes);
  return { size: stored.bytes, digests: stored.digests, settle: nothingToSettle };
}

/**
 * A file is moved: linked where that is possible, copied where it isn't, and its own name taken away at the
 * very end. Until then a crash leaves it where it was. What nobody may take away (a read-only folder) is copied
 * and stays.
 */
async function importPath(filename: string, target: string, options: ImportOptions): Promise<Measured> {
  const own = await fs.lstat(filename, { bigint: true }).catch(rethrowSource);
  // A link may lead to any file of this machine, and would be served to everybody.
  if (own.isSymbolicLink()) {
    throw new OtaError('OTA_FILE', `${WHOSE_FILE} is a symbolic link: give the path of the file itself.`);
  }
  if (!own.isFile()) throw new OtaError('OTA_FILE', `${WHOSE_FILE} is no ordinary file.`);
  checkSize(Number(own.size), options.maxBytes);
  const movable = await isMovable(filename, Number(own.uid));
  // Another name of the same file, or another owner, would let somebody change the package.
  const isOurs = own.nlink === 1n && Number(own.uid) === (process.getuid?.() ?? Number(own.uid));
  if (movable && isOurs && (await link(filename, target))) {
    const { size, digests, after } = await readThrough(target, options, methods(options));
    checkUnchanged(own, after, size);
    await fs.chmod(target, FILE_MODE);
    await sync(target);
    const settle = async (stored: string | null): Promise<void> => {
      await takeAway(filename, after, { isShared: true });
      if (stored !== null) await makeAlone(stored, after);
    };
    return { size, digests, settle };
  }
  await checkFreeSpace(path.dirname(target), Number(own.size));
  const writer = await HashingFileWriter.create(target, methods(options));
  try {
    const { after } = await readThrough(filename, options, [], (chunk) => writer.write(Buffer.from(chunk)));
    checkUnchanged(own, after, writer.bytes);
    await writer.commit(target);
    const settle = movable ? () => takeAway(filename, after, { isShared: false }) : nothingToSettle;
    return { size: writer.bytes, digests: writer.digests(), settle };
  } catch (error) {
    await writer.close();
    throw error;
  }
}

/**
 * Takes away the name of a file that was added. What has that name meanwhile, a newer build for instance, stays; and
 * another add of the same file may have come first.
 * @param read the file as it was when it was measured
 * @param isShared the package is this file by another name: what is written to it now would be in the package
 */
async function takeAway(
  filename: string,
  read: BigIntStats,
  { isShared }: { isShared: boolean },
): Promise<void> {
  const now = await fs.lstat(filename, { bigint: true }).catch(nullIfAbsent);
  if (now === null || now.dev !== read.dev || now.ino !== read.ino) return;
  if (now.mtimeNs === read.mtimeNs && now.size === read.size) {
    await fs.rm(filename, { force: true }).catch(rethrowSource);
  } else if (isShared) {
    throw changed();
  }
}

/** Copies a file that still has another name, by which somebody could change it: it was moved while it was added. */
async function makeAlone(file: string, read: BigIntStats): Promise<void> {
  if ((await fs.stat(file)).nlink === 1) return;
  const folder = path.dirname(file);
  const copy = path.join(folder, PARTIAL);
  await checkFreeSpace(folder, Number(read.size));
  await fs.copyFile(file, copy, fs.constants.COPYFILE_EXCL);
  const now = await fs.stat(file, { bigint: true });
  checkUnchanged(read, now, Number(read.size));
  await sync(copy);
  await fs.rename(copy, file);
  await syncDirectory(folder);
}

function nullIfAbsent(error: unknown): null {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
  return rethrowSource(error);
}

/** May its name be taken away? In a sticky folder such as /tmp only by its owner. */
async function isMovable(filename: string, owner: number): Promise<boolean> {
  const folder = path.dirname(filename);
  try {
    await fs.access(folder, fs.constants.W_OK);
  } catch {
    return false;
  }
  const { mode, uid } = await fs.stat(folder).catch(rethrowSource);
  const me = process.getuid?.() ?? owner;
  return (mode & STICKY) === 0 || me === 0 || me === owner || me === uid;
}

/** False where the file can't have a second name: another device, or a file system without links. */
async function link(filename: string, target: string): Promise<boolean> {
  try {
    await fs.link(filename, target);
    return true;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (NO_LINKS.has(code)) return false;
    // The target's folder was made a moment ago: what went meanwhile is the file.
    throw code === 'ENOENT' ? folderError(error, WHOSE_FILE) : folderError(error);
  }
}

/** Reads a file once, hashing; each piece is valid until the next. `after`: the file that was read, at its end. */
async function readThrough(
  file: string,
  { maxBytes, stop, onBytes }: Pick<ImportOptions, 'maxBytes' | 'stop' | 'onBytes'>,
  hashed: readonly SignMethod[],
  take?: (chunk: Uint8Array) => Promise<void>,
): Promise<Omit<Measured, 'settle'> & { readonly after: BigIntStats }> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  const handle = await fs.open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(rethrowSource);
  try {
    const total = (await handle.stat()).size;
    const hashes = hashed.map((method) => createHash(HASH_NAME[method]));
    const buffer = Buffer.allocUnsafe(BATCH_BYTES);
    let size = 0;
    for (;;) {
      stop.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, size).catch(rethrowSource);
      if (bytesRead === 0) break;
      const chunk = buffer.subarray(0, bytesRead);
      for (const hash of hashes) hash.update(chunk);
      size += bytesRead;
      if (size > maxBytes) throw tooLarge(null, maxBytes);
      await take?.(chunk);
      onBytes(size, total);
    }
    const digests = new Map(hashed.map((method, i) => [method, hashes[i]?.digest('hex') ?? '']));
    return { size, digests, after: await handle.stat({ bigint: true }) };
  } finally {
    await handle.close();
  }
}

function checkUnchanged(before: BigIntStats, after: BigIntStats, bytes: number): void {
  const isSame = before.ino === after.ino && before.mtimeNs === after.mtimeNs;
  if (!isSame || BigInt(bytes) !== before.size || after.size !== before.size) throw changed();
}

function changed(): OtaError {
  return new OtaError('OTA_FILE', `${WHOSE_FILE} was changed while it was read: add it when it is complete.`);
}

function checkSize(bytes: number, maxBytes: number): void {
  if (bytes === 0) throw new OtaError('OTA_BAD_PACKAGE', 'The package was not added: its file is empty.');
  if (bytes > maxBytes) throw tooLarge(bytes, maxBytes);
}

function methods({ method }: ImportOptions): SignMethod[] {
  return [...new Set<SignMethod>(['SHA256', method])];
}

async function sync(file: string): Promise<void> {
  // Windows flushes only what was opened for writing, and a moved file may be read-only.
  if (process.platform === 'win32') return;
  const handle = await fs.open(file, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function rethrowSource(error: unknown): never {
  throw folderError(error, WHOSE_FILE);
}
