/**
 * A package as it is described on the disk, beside its file. Owns the form of that description; must never
 * change one that it can't read.
 */
import { isObject, isSign, OtaError, readSignMethod } from '../../protocol';
import type { PackageType } from './fields';

/** The description's name in a package's folder; a package's own name never begins with a dot. */
export const RECORD_FILE = '.ota-package.json';

const FORMAT = 1;

export interface PackageRecord {
  readonly id: string;
  readonly name: string;
  readonly product: string;
  readonly version: string;
  readonly module: string;
  /** Bytes. */
  readonly size: number;
  readonly signMethod: 'MD5' | 'SHA256';
  /** Lower-case hex, of signMethod. */
  readonly sign: string;
  readonly sha256: string;
  readonly type: PackageType;
  readonly fromVersion: string | null;
  readonly description: string;
  readonly extData: { readonly [key: string]: string };
  /** ISO 8601. */
  readonly at: string;
  /** The file's name in the folder, or null where the package was only measured. */
  readonly file: string | null;
  /** Where a package that was only measured lies. */
  readonly url: string | null;
}

/** A package as ota-push takes it. */
export type Package = Omit<PackageRecord, 'file' | 'url'> & { readonly url: string };

/** Oldest first. */
export function byAge(a: PackageRecord, b: PackageRecord): number {
  return a.at < b.at ? -1 : a.at > b.at ? 1 : 0;
}

export function writeRecord(record: PackageRecord): string {
  return `${JSON.stringify({ format: FORMAT, ...record }, null, 2)}\n`;
}

/** @throws OtaError OTA_FILE where the text is no description of the package `id` */
export function readRecord(text: string, id: string): PackageRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = null;
  }
  if (!isObject(value)) throw unreadable(id, 'its description is not JSON');
  const { format, ...record } = value;
  if (format !== FORMAT) throw unreadable(id, 'its description was written by a newer version');
  if (!isRecord(record) || record.id !== id) throw unreadable(id, 'its description is not complete');
  return record;
}

function isRecord(value: object): value is PackageRecord {
  const record = value as { readonly [K in keyof PackageRecord]?: unknown };
  const texts = [record.id, record.name, record.product, record.version, record.module, record.description];
  const { size, sign, sha256, signMethod, extData, file, url } = record;
  return (
    [...texts, record.at].every((text) => typeof text === 'string') &&
    Number.isSafeInteger(size) &&
    (signMethod === 'MD5' || signMethod === 'SHA256') &&
    typeof sign === 'string' &&
    isSign(sign, readSignMethod(signMethod) ?? 'SHA256') &&
    typeof sha256 === 'string' &&
    isSign(sha256, 'SHA256') &&
    (record.type === 'full' || record.type === 'differential') &&
    isTextOrNull(record.fromVersion) &&
    isObject(extData) &&
    Object.values(extData).every((text) => typeof text === 'string') &&
    isTextOrNull(file) &&
    isTextOrNull(url) &&
    (file === null) === (url !== null)
  );
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === 'string';
}

/** A package that is left out; also where its file isn't as described. */
export function unreadable(id: string, why: string): OtaError {
  return new OtaError(
    'OTA_FILE',
    `The package ${id.slice(0, 8)}… is left out: ${why}. Its files stay as they are.`,
  );
}
