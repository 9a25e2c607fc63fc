/**
 * `create` and `preview`: a task's packages, its devices and its times, read and checked before anything is
 * done. Pure.
 */
import {
  field,
  isBlank,
  isObject,
  type JsonObject,
  safeCopy,
  typeName,
  type UpgradeOut,
} from '../../protocol';
import { MAX_MODULE_NAME, MAX_TASK_DESCRIPTION, MAX_TASK_NAME } from '../../rules';
import { readPolicy } from '../policy';
import type { DeviceFilter, EndBehavior, Joining, LabelFilter, PackageVariant, Policy } from '../types';
import { bad, flag, oneOf, optional, storable, texts, time, whole } from './fields';
import { readLabelFilter } from './labels';

/** Everybody, named devices, or those that a filter takes in. */
export type Targets = 'all' | readonly unknown[] | DeviceFilter;

export interface TaskInput {
  readonly name: string;
  readonly description: string;
  /** The first package. */
  readonly upgrade: UpgradeOut;
  readonly package: { readonly [key: string]: unknown };
  readonly packages: readonly PackageVariant[];
  readonly targets: Targets;
  readonly joining: Joining | null;
  /** Wall clock, milliseconds; null for now. */
  readonly startAt: number | null;
  /** Wall clock, milliseconds; null for never. */
  readonly endAt: number | null;
  readonly endBehavior: EndBehavior;
  readonly draft: boolean;
  readonly policy: Policy;
}

const MAX_PACKAGE = 64 * 1024;
const MAX_PACKAGES = 32;
const MAX_JOINING = 1_000_000;

/** What the node brings to each task. */
export interface OwnRules {
  /** The policy of a task that says nothing else. */
  readonly defaults: Policy;
  /** Checks a package as the devices need it. @throws OtaError OTA_BAD_UPGRADE naming the field */
  readonly check: (input: unknown) => UpgradeOut;
}

export function readTask(payload: JsonObject, { defaults, check }: OwnRules): TaskInput {
  const { packages, fromVersions } = readPackages(payload, check);
  const [first] = packages;
  if (first === undefined) throw bad('packages', 'is empty: a task needs at least one package');
  const targets = readTargets(field(payload, 'targets'));
  const startAt = time(payload, 'startAt');
  const endAt = time(payload, 'endAt');
  if (endAt !== null && startAt !== null && endAt <= startAt) throw bad('endAt', 'must be after "startAt"');
  const own = fromVersions === null ? defaults : { ...defaults, fromVersions };
  return {
    name: optional(payload, 'name', Infinity).slice(0, MAX_TASK_NAME),
    description: optional(payload, 'description', MAX_TASK_DESCRIPTION),
    upgrade: first.upgrade,
    package: first.package,
    packages,
    targets,
    joining: readJoining(payload, targets),
    startAt,
    endAt,
    endBehavior: readEndBehavior(payload) ?? 'stop',
    draft: flag(payload, 'draft'),
    policy: readPolicy(field(payload, 'policy'), own),
  };
}

export function readEndBehavior(payload: JsonObject): EndBehavior | null {
  return oneOf<EndBehavior>(payload, 'endBehavior', ['stop', 'cancel']);
}

/** `package`, or `packages`. A single package's own versions are the task's, unless its policy says otherwise. */
function readPackages(
  payload: JsonObject,
  check: OwnRules['check'],
): {
  readonly packages: readonly PackageVariant[];
  readonly fromVersions: readonly string[] | null;
} {
  const many = field(payload, 'packages');
  const one = field(payload, 'package');
  if (isBlank(many)) {
    const variant = readVariant(one, 'package', check);
    const fromVersions = variant.fromVersions.length === 0 ? null : variant.fromVersions;
    return { packages: [{ ...variant, fromVersions: [] }], fromVersions };
  }
  if (!isBlank(one)) throw bad('packages', 'and "package" can not both be given');
  if (!Array.isArray(many) || many.length === 0 || many.length > MAX_PACKAGES) {
    throw bad('packages', `must be a list of 1 to ${MAX_PACKAGES} packages`);
  }
  const packages = Array.from(many as readonly unknown[], (given, i) =>
    readVariant(given, `packages[${i}]`, check),
  );
  const [first] = packages;
  packages.forEach(({ upgrade }, i) => {
    if (upgrade.version !== first?.upgrade.version || upgrade.module !== first.upgrade.module) {
      throw bad(`packages[${i}]`, 'must have the version and the module of the first one');
    }
  });
  const size = packages.reduce((sum, variant) => sum + JSON.stringify(variant.package).length, 0);
  if (size > 4 * MAX_PACKAGE) throw bad('packages', 'are larger than 256 KiB together');
  return { packages, fromVersions: null };
}

function readVariant(given: unknown, name: string, check: OwnRules['check']): PackageVariant {
  if (!isObject(given))
    throw bad(name, `must be an object {version, url, size, sign, …}, not ${typeName(given)}`);
  const upgrade = check(given);
  checkStorable(upgrade, name);
  if (upgrade.module.length > MAX_MODULE_NAME) {
    throw bad(
      `${name}.module`,
      `must have at most ${MAX_MODULE_NAME} characters: reports of longer names count for nothing`,
    );
  }
  return {
    upgrade,
    package: readPackage(given, upgrade, name),
    fromVersions: readFromVersions(given, name),
    requires: readRequires(given, name),
  };
}

/** What is sent must be what was given: here nothing is put in the place of what no database keeps. */
function checkStorable({ version, module, extData }: UpgradeOut, name: string): void {
  const all = [version, module, ...Object.entries(extData ?? {}).flat()];
  if (all.every((text) => storable(text) === text)) return;
  throw bad(name, 'holds a NUL or half a surrogate pair, which can not be kept: send it as well-formed text');
}

/** The versions that a package was made from: `fromVersion` of ota-package, or a list. */
function readFromVersions(given: JsonObject, name: string): readonly string[] {
  const one = field(given, 'fromVersion');
  if (!isBlank(one) && typeof one !== 'string') {
    throw bad(`${name}.fromVersion`, `must be text, not ${typeName(one)}`);
  }
  const many = texts(field(given, 'fromVersions'), `${name}.fromVersions`) ?? [];
  return isBlank(one) ? many : [one, ...many.filter((version) => version !== one)];
}

function readRequires(given: JsonObject, name: string): LabelFilter | null {
  const value = field(given, 'requires');
  if (isBlank(value)) return null;
  const requires = readLabelFilter(value, `${name}.requires`);
  return Object.keys(requires).length === 0 ? null : requires;
}

/** What was given, for people, with the fields that are sent in the form in which they are sent. */
function readPackage(
  given: JsonObject,
  upgrade: UpgradeOut,
  name: string,
): { readonly [key: string]: unknown } {
  let all: JsonObject;
  try {
    all = { ...(safeCopy(JSON.parse(JSON.stringify(given))) as JsonObject), ...upgrade };
  } catch {
    throw bad(name, 'holds what can not be written as JSON');
  }
  if (JSON.stringify(all).length > MAX_PACKAGE) throw bad(name, 'is larger than 64 KiB');
  return all;
}

const FILTER_FIELDS: readonly string[] = ['version', 'versions', 'labels', 'module', 'joining', 'max'];

function readTargets(value: unknown): Targets {
  if (value === 'all') return 'all';
  if (Array.isArray(value)) {
    if (value.length === 0) throw bad('targets', 'is empty: a task needs at least one device');
    // The tokens themselves are looked at in slices: there may be a million.
    return value as readonly unknown[];
  }
  if (isObject(value)) return readFilter(value);
  throw bad(
    'targets',
    'must be "all", an array of access tokens, or a filter {version, versions, labels, module, joining}',
  );
}

/** A filter must ask for something: an empty one was surely meant otherwise. */
function readFilter(value: JsonObject): DeviceFilter {
  const extra = Object.keys(value).find((key) => !FILTER_FIELDS.includes(key));
  if (extra !== undefined) {
    throw bad(
      `targets.${extra}`,
      'is no field of a filter: use {version, versions, labels, module, joining}',
    );
  }
  const one = texts(field(value, 'version'), 'targets.version');
  const many = texts(field(value, 'versions'), 'targets.versions');
  const versions = one === null && many === null ? null : [...new Set([...(one ?? []), ...(many ?? [])])];
  const given = field(value, 'labels');
  const wanted = isBlank(given) ? {} : readLabelFilter(given, 'targets.labels');
  // No label at all fits every device.
  const labels = Object.keys(wanted).length === 0 ? null : wanted;
  const module = optional(value, 'module', MAX_MODULE_NAME);
  if (versions === null && labels === null && module === '') {
    throw bad(
      'targets.version',
      'is missing: a filter names versions, labels or a module; "all" takes everybody',
    );
  }
  return { versions, labels, module: module === '' ? null : module };
}

/** `joining` and `max` stand in a filter, or beside `targets`. */
function readJoining(payload: JsonObject, targets: Targets): Joining | null {
  const given = field(payload, 'targets');
  const holders = isObject(given) && !Array.isArray(given) ? [payload, given] : [payload];
  const holder = holders.find((object) => flag(object, 'joining'));
  if (holder === undefined) return null;
  if (Array.isArray(targets)) throw bad('joining', 'needs a filter or "all": a list of tokens is complete');
  const max = Math.min(...holders.map((object) => whole(object, 'max', MAX_JOINING, MAX_JOINING)));
  const all: DeviceFilter = { versions: null, labels: null, module: null };
  return { filter: targets === 'all' ? all : (targets as DeviceFilter), max };
}
