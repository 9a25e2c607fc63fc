/** What the tests of the library share: a request to add, and the digests of what was added. */
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import {
  type AddRequest,
  type Library,
  type Package,
  type PackageSource,
  readFields,
} from '../../nodes/lib/packages/library';
import { OtaError } from '../../nodes/lib/protocol';

export const BASE = 'http://192.0.2.1:1880';

export function digest(method: 'md5' | 'sha256', content: Uint8Array): string {
  return createHash(method).update(content).digest('hex');
}

/** A request with defaults; `fields` as a flow would give them. */
export function request(
  source: PackageSource,
  fields: Readonly<Record<string, unknown>> = {},
  more: Partial<AddRequest> = {},
): AddRequest {
  return {
    fields: readFields({ version: 'v1', ...fields }, { signMethod: 'SHA256' }),
    source,
    baseUrl: BASE,
    privateKey: null,
    maxBytes: 64 * 1024 * 1024,
    hosts: { allowedHosts: [], allowLocal: true },
    stop: new AbortController().signal,
    onBytes: () => {},
    ...more,
  };
}

export function content(text: string | Uint8Array): PackageSource {
  return { kind: 'content', content: Buffer.from(text) };
}

/** What would be served for a package. */
export async function served(library: Library, { id, url }: Package): Promise<Buffer> {
  const found = await library.find(id, url.split('/').at(-1)!);
  if (found === null) throw new Error(`nothing is served at ${url}`);
  return fs.readFile(path.join(found.folder, found.name));
}

/** Every file and folder below, relative. */
export async function tree(folder: string): Promise<string[]> {
  return (await fs.readdir(folder, { recursive: true })).sort();
}

/** For assert.throws and assert.rejects: an error of ours with this code. */
export function withCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof OtaError && error.code === code;
}
