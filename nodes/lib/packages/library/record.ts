/**
 * A package as it is described on the disk, beside its file. Owns the form of that description; must never
 * change one that it can't read.
 */
import { isObject, isSign, OtaError, readSignMethod } from '../../protocol';
import { labelFilterRule } from '../../rules';
import type { PackageType, RequiredLabels } from './fields';

/** The description's name in a package's folder; a package's own name never begins with a dot. */
export const RECORD_FILE = '.ota-package.json';
/** Its name once it was found damaged, and told. */
export const BAD_RECORD_FILE = `${RECORD_FILE}.bad`;

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
  /** Labels that a device needs for it; absent for any device. */
  readonly requires?: RequiredLabels;
  /** ISO 8601. */
  readonly at: string;
  /** The file's name in the folder, or null where the package was only measured. */
  readonly file: string | null;
  /** Where a package that was only measured lies. */
  readonly url: string | null;
}

/** A package as ota-push takes it. */
export type Package = Omit<PackageRecord, 'file' | 'url'> & { readonly url: string };

/** True where the text is part of a name, a version, a product or a module, in any case. */
export function isFound({ name, version, product, module }: PackageRecord, search: string): boolean {
  const part = search.toLowerCase();
  return [name, version, product, module].some((text) => text.toLowerCase().includes(part));
}

/** The same package: product, module, version and content, at the same place. */
export function isSamePackage(a: PackageRecord, b: PackageRecord): boolean {
  const isSameContent = a.sha256 === b.sha256 && a.size === b.size;
  const isSameUpgrade = a.product === b.product && a.module === b.module && a.version === b.version;
  return isSameContent && isSameUpgrade && (a.file === null) === (b.file === null) && a.url === b.url;
}

/** Oldest first. */
export function byAge(a: PackageRecord, b: PackageRecord): number {
  return a.at < b.at ? -1 : a.at > b.at ? 1 : 0;
}

export function writeRecord(record: PackageRecord): string {
  return `${JSON.stringify({ format: FORMAT, ...record }, null, 2)}\n`;
}

/** A description that can't be read, or a file that isn't as described; the message is the reason. */
export class DamagedPackage extends Error {}

/**
 * @throws DamagedPackage where the text is no description of the package `id`
 * @throws OtaError OTA_FILE where a newer release wrote it: it is to be left as it is
 */
export function readRecord(text: string, id: string): PackageRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = null;
  }
  if (!isObject(value)) throw new DamagedPackage('its description is not JSON');
  const { format, ...record } = value;
  if (typeof format === 'number' && format > FORMAT) throw newer(id);
  if (format !== FORMAT || !isRecord(record) || record.id !== id)
    throw new DamagedPackage('its description is not complete');
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
    (record.requires === undefined || labelFilterRule.read(record.requires).reason === null) &&
    isTextOrNull(file) &&
    isTextOrNull(url) &&
    (file === null) === (url !== null)
  );
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === 'string';
}

function newer(id: string): OtaError {
  return new OtaError(
    'OTA_FILE',
    `The package ${id.slice(0, 8)}… is left out: a newer release of this node wrote its description. Its files stay as they are.`,
  );
}
