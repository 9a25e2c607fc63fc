/** A half-done file and what lies beside it: its description, without which nobody can go on with it. */
import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import { OtaError } from '../../protocol';
import { fileError } from './files';

/** A symbolic link in a file's place would lead what is written elsewhere. */
const WRITE_NO_LINK = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;

export function sidecarName(partial: string): string {
  return `${partial}.json`;
}

/** What must be known to go on with a partial file: which version of the file at the server it is part of. */
export interface Sidecar {
  /** A strong ETag with its quotes, or null. */
  readonly etag: string | null;
  readonly lastModified: string | null;
  /** Bytes of the whole file, or null. */
  readonly total: number | null;
}

/** What is known of a part whose description was damaged, by a power cut for instance. */
export const UNKNOWN: Sidecar = { etag: null, lastModified: null, total: null };

/**
 * Reads a description. One that is damaged is set aside as `.bad` and told: the part can be gone on with all the
 * same where a digest will tell.
 * @returns null where there is none: then the part beside it is of no use
 */
export async function readSidecar(
  file: string,
  onDamaged: (error: OtaError) => void,
): Promise<Sidecar | null> {
  let text: string;
  try {
    text = await fs.readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    text = '';
  }
  const sidecar = parseSidecar(text);
  if (sidecar !== null) return sidecar;
  await fs
    .rename(file, `${file}.bad`)
    .catch(() => fs.rm(file, { force: true, recursive: true }).catch(() => {}));
  onDamaged(
    new OtaError(
      'OTA_FILE',
      'The description of a half-done download was damaged and is set aside; the download goes on.',
    ),
  );
  return UNKNOWN;
}

function parseSidecar(text: string): Sidecar | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { etag, lastModified, total } = value as Record<string, unknown>;
  const ok =
    isTextOrNull(etag) && isTextOrNull(lastModified) && (total === null || Number.isSafeInteger(total));
  return ok ? { etag, lastModified, total: total as number | null } : null;
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === 'string';
}

export async function writeSidecar(file: string, sidecar: Sidecar): Promise<void> {
  await fs.writeFile(file, JSON.stringify(sidecar), { mode: 0o600, flag: WRITE_NO_LINK }).catch(rethrow);
}

/** Where the bytes of an answer lie that may take the part's place (see replay.ts). */
export function otherName(partial: string): string {
  return `${partial}.new`;
}

/** Removes a partial file and what lies beside it. */
export async function removePartial(file: string): Promise<void> {
  for (const beside of [sidecarName(file), `${sidecarName(file)}.bad`, otherName(file)]) {
    await fs.rm(beside, { force: true }).catch(rethrow);
  }
  await fs.rm(file, { force: true }).catch(rethrow);
}

function rethrow(error: unknown): never {
  throw fileError(error);
}
