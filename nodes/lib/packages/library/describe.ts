/** From what a flow said and what was measured to a package, and from its description to what flows get. Pure. */
import type { KeyObject } from 'node:crypto';
import path from 'node:path';
import { OtaError, type SignMethod } from '../../protocol';
import { MAX_PACKAGE_LINE } from '../../rules';
import { SIGNATURE_KEY, signPackage } from '../verify/signature';
import { fileUrl, safeName } from './addresses';
import type { PackageFields } from './fields';
import type { Package, PackageRecord } from './record';
import type { Measured, PackageSource } from './import-file';

export interface PackageRequest {
  readonly fields: PackageFields;
  readonly source: PackageSource;
  /** Signs the package. */
  readonly privateKey: KeyObject | null;
}

/** @param file the name under which it is served, or null where it was only measured */
export function describePackage(
  id: string,
  file: string | null,
  { fields, source, privateKey }: PackageRequest,
  { size, digests }: Measured,
  at: Date,
): PackageRecord {
  const { module, version, signMethod, expires, requires, ...rest } = fields;
  const sha256 = digestOf(digests, 'SHA256');
  const signed = {
    ...{ module, version, size, sha256, signed: at.toISOString() },
    ...{ product: rest.product, requires, extData: rest.extData },
    ...(expires === null ? {} : { expires }),
  };
  const signature: Record<string, string> =
    privateKey === null ? {} : { [SIGNATURE_KEY]: signPackage(privateKey, signed) };
  return {
    id,
    name: rest.name || titleOf(source) || fileNameOf({ fields, source }),
    product: rest.product,
    version,
    module,
    size,
    signMethod: signMethod === 'Md5' ? 'MD5' : 'SHA256',
    sign: digestOf(digests, signMethod),
    sha256,
    type: rest.type,
    fromVersion: rest.fromVersion,
    description: rest.description,
    extData: { ...rest.extData, ...signature },
    ...(requires === null ? {} : { requires }),
    at: at.toISOString(),
    file,
    url: file === null && source.kind === 'url' ? source.url : null,
  };
}

function digestOf(digests: ReadonlyMap<SignMethod, string>, method: SignMethod): string {
  const digest = digests.get(method);
  if (digest === undefined) throw new OtaError('OTA_INTERNAL', `The ${method} digest is missing.`);
  return digest;
}

/** What the file is called on the disk and in its address: as it was, else as the package is. */
export function fileNameOf({ fields, source }: Pick<PackageRequest, 'fields' | 'source'>): string {
  return safeName(givenName(source) || fields.name || `${fields.module}-${fields.version}.bin`);
}

/** The file's own name for people to read, in any script; blank where it has none. */
function titleOf(source: PackageSource): string {
  return givenName(source)
    .slice(0, MAX_PACKAGE_LINE)
    .replace(/[\p{Cc}\p{Cs}]/gu, '')
    .trim();
}

function givenName(source: PackageSource): string {
  switch (source.kind) {
    case 'content':
      return '';
    case 'file':
      return path.basename(source.filename);
    case 'url':
      return lastSegment(source.url);
  }
}

function lastSegment(url: string): string {
  const name = URL.canParse(url) ? (new URL(url).pathname.split('/').at(-1) ?? '') : '';
  try {
    return decodeURIComponent(name);
  } catch {
    return name; // a stray %: it stands for itself
  }
}

/** A package as ota-push takes it, with the address of today. */
export function toPackage({ file, url, ...record }: PackageRecord, baseUrl: string): Package {
  const { id, name, product, version, module, size, signMethod, sign, sha256, ...rest } = record;
  const address = file !== null ? (baseUrl === '' ? '' : fileUrl(baseUrl, id, file)) : (url ?? '');
  const head = { id, name, product, version, module, size, signMethod, sign, sha256, url: address };
  // A flow may change what it gets: the library keeps its own.
  const labels = rest.requires === undefined ? {} : { requires: structuredClone(rest.requires) };
  return { ...head, ...rest, extData: { ...rest.extData }, ...labels };
}
