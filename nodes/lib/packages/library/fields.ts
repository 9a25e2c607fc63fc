/**
 * What a flow says about a package, checked before a byte is touched. Pure: no I/O. Owns the limits of the
 * fields and the default of each.
 */
import {
  checkUpgrade,
  field,
  isObject,
  type JsonObject,
  moduleOrDefault,
  OtaError,
  readSignMethod,
  readTime,
  reasonText,
  type SignMethod,
  toOtaError,
  typeName,
} from '../../protocol';
import { labelFilterRule, MAX_PACKAGE_DESCRIPTION, MAX_PACKAGE_LINE } from '../../rules';

export type PackageType = 'full' | 'differential';

/** Labels that a device needs for a package, for each one value or several that fit. */
export type RequiredLabels = { readonly [label: string]: string | readonly string[] };

export interface PackageFields {
  /** Blank: the file's name stands in. */
  readonly name: string;
  readonly product: string;
  readonly version: string;
  readonly module: string;
  readonly signMethod: SignMethod;
  readonly type: PackageType;
  /** The version that a differential package starts from; null for a full one. */
  readonly fromVersion: string | null;
  readonly description: string;
  readonly extData: { readonly [key: string]: string };
  /** Labels that a device needs for it; null for any device. */
  readonly requires: RequiredLabels | null;
  /** The end of the signature's validity, ISO 8601, or null. */
  readonly expires: string | null;
}

const MAX_EXT_DATA = 16 * 1024;
/** A signature holds it too, and goes out with each push. */
const MAX_REQUIRES = 4 * 1024;

/**
 * Reads the fields beside `action: "add"`. Absent, null and blank are the same.
 * @throws OtaError OTA_BAD_PACKAGE naming the field
 */
export function readFields(input: JsonObject, byDefault: { signMethod: SignMethod }): PackageFields {
  const type = readType(field(input, 'type'));
  const version = line(input, 'version');
  if (version === '') throw bad('"version" is missing');
  const fromVersion = line(input, 'fromVersion');
  if (type === 'differential' && fromVersion === '') {
    throw bad('a differential package needs "fromVersion", the version that it starts from');
  }
  if (type === 'full' && fromVersion !== '') {
    throw bad('"fromVersion" belongs to a package of type "differential"');
  }
  const module = moduleOrDefault(line(input, 'module'));
  return {
    name: line(input, 'name'),
    product: line(input, 'product'),
    version,
    module,
    signMethod: readMethod(field(input, 'signMethod')) ?? byDefault.signMethod,
    type,
    fromVersion: type === 'full' ? null : fromVersion,
    description: text(input, 'description', MAX_PACKAGE_DESCRIPTION),
    extData: readExtData(field(input, 'extData'), { version, module }),
    requires: readRequires(field(input, 'requires')),
    expires: readExpires(field(input, 'expires')),
  };
}

/** One line: what shows in tables and goes into topics' bodies. */
function line(input: JsonObject, key: string): string {
  const value = text(input, key, MAX_PACKAGE_LINE).trim();
  if (/\p{Cc}/u.test(value)) throw bad(`"${key}" must not hold control characters`);
  return value;
}

function text(input: JsonObject, key: string, limit: number): string {
  const value = field(input, key);
  if (value === undefined || value === null) return '';
  // A number is refused on purpose: a version of 1.10 would be kept as 1.1.
  if (typeof value !== 'string') throw bad(`"${key}" must be text, not ${typeName(value)}`);
  if (value.length > limit) throw bad(`"${key}" has ${value.length} characters; at most ${limit} are taken`);
  if (/\p{Cs}|\0/u.test(value)) throw bad(`"${key}" is not well-formed text`);
  return value;
}

function readType(value: unknown): PackageType {
  if (value === undefined || value === null || value === '' || value === 'full') return 'full';
  if (value === 'differential') return 'differential';
  throw bad('"type" must be "full" or "differential"');
}

function readMethod(value: unknown): SignMethod | null {
  if (value === undefined || value === null || value === '') return null;
  const method = typeof value === 'string' ? readSignMethod(value) : null;
  if (method === null) throw bad('"signMethod" must be "MD5" or "SHA256"');
  return method;
}

/**
 * The same rules as for a push, so that what is added can be pushed.
 * @param name of the field that is checked
 * @param fields of an upgrade; good ones stand for those that are left out
 * @throws OtaError OTA_BAD_PACKAGE
 */
export function checkPushable(name: string, fields: JsonObject): ReturnType<typeof checkUpgrade> {
  try {
    return checkUpgrade({ version: '-', url: 'http://-', size: 1, sign: '0'.repeat(64), ...fields });
  } catch (error) {
    throw new OtaError(
      'OTA_BAD_PACKAGE',
      `"${name}" can not be sent to devices. ${toOtaError(error).message}`,
    );
  }
}

function readExtData(
  value: unknown,
  { version, module }: { version: string; module: string },
): { readonly [key: string]: string } {
  if (value === undefined || value === null || value === '') return {};
  if (!isObject(value)) throw bad(`"extData" must be an object of texts, not ${typeName(value)}`);
  const extData = checkPushable('extData', { version, module, extData: value }).extData ?? {};
  if (Buffer.byteLength(JSON.stringify(extData)) > MAX_EXT_DATA) throw bad('"extData" is over 16 KiB');
  return extData;
}

function readRequires(value: unknown): RequiredLabels | null {
  if (value === undefined || value === null || value === '') return null;
  const { value: labels, reason } = labelFilterRule.read(value);
  if (reason !== null) {
    throw bad(`"requires${reason.part === undefined ? '' : `.${reason.part}`}" ${reasonText(reason)}`);
  }
  const given = value as JsonObject;
  // One value stays one, as it was given.
  const entries = Object.entries(labels).map(([name, values]) => [
    name,
    Array.isArray(given[name]) ? values : (values[0] ?? ''),
  ]);
  const requires = Object.fromEntries(entries) as RequiredLabels;
  if (Buffer.byteLength(JSON.stringify(requires)) > MAX_REQUIRES) throw bad('"requires" is over 4 KiB');
  return entries.length === 0 ? null : requires;
}

function readExpires(value: unknown): string | null {
  if (value === undefined || value === null || value === '') return null;
  const time = readTime(value);
  if (Number.isNaN(time)) throw bad('"expires" must be a date in ISO 8601');
  if (time <= Date.now()) throw bad('"expires" is in the past');
  return new Date(time).toISOString();
}

function bad(reason: string): OtaError {
  return new OtaError('OTA_BAD_PACKAGE', `The package was not added: ${reason}.`);
}
