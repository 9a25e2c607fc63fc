/** A half-done file and what lies beside it: its description, without which nobody can go on with it. */
import fs from 'node:fs/promises';
import { fileError } from './files';

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

/** null where there is none that can be read: then the part beside it is of no use. */
export async function readSidecar(file: string): Promise<Sidecar | null> {
  let value: unknown;
  try {
    value = JSON.parse(await fs.readFile(file, 'utf8'));
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
  await fs.writeFile(file, JSON.stringify(sidecar)).catch(rethrow);
}

/** Removes a partial file and what lies beside it. */
export async function removePartial(file: string): Promise<void> {
  await fs.rm(sidecarName(file), { force: true }).catch(rethrow);
  await fs.rm(file, { force: true }).catch(rethrow);
}

function rethrow(error: unknown): never {
  throw fileError(error);
}
