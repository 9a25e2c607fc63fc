/**
 * What a message asks of the tasks, read and checked before anything is done. Pure.
 */
import {
  checkUpgrade,
  field,
  isObject,
  type JsonObject,
  OtaError,
  readTime,
  safeCopy,
  typeName,
  type UpgradeOut,
} from '../protocol';
import { readPolicy } from './policy';
import {
  DEVICE_STATUSES,
  type DeviceStatus,
  type EndBehavior,
  type Joining,
  type PackageVariant,
  type Policy,
} from './types';

export const ACTIONS = [
  'create',
  'preview',
  'pause',
  'resume',
  'cancel',
  'retry',
  'remove',
  'list',
  'get',
  'devices',
  'history',
] as const;
export type Action = (typeof ACTIONS)[number];

/** Everybody, named devices, or those that run one of these versions. */
export type Targets = 'all' | readonly string[] | { readonly versions: readonly string[] };

export interface TaskInput {
  readonly name: string;
  readonly upgrade: UpgradeOut;
  readonly description: string;
  readonly package: { readonly [key: string]: unknown };
  readonly packages: readonly PackageVariant[];
  readonly targets: Targets;
  /** Wall clock, milliseconds; null for now. */
  readonly startAt: number | null;
  readonly policy: Policy;
  readonly endAt: number | null;
  readonly endBehavior: EndBehavior;
  readonly joining: Joining | null;
}

export type Command =
  | {
      readonly action: 'create' | 'preview';
      readonly input: TaskInput;
      readonly page: number;
      readonly pageSize: number;
    }
  | { readonly action: 'pause' | 'resume' | 'remove' | 'get'; readonly taskId: string }
  | { readonly action: 'cancel'; readonly taskId: string; readonly accessTokens: readonly unknown[] | null }
  | {
      readonly action: 'retry';
      readonly taskId: string;
      /** null: the whole task. Looked at in slices, as targets are. */
      readonly accessTokens: readonly unknown[] | null;
      /** Of the whole task: only the devices in this state. */
      readonly status: Retried | null;
    }
  | { readonly action: 'list'; readonly page: number; readonly pageSize: number }
  | {
      readonly action: 'devices';
      readonly taskId: string;
      readonly status: DeviceStatus | null;
      readonly search: string;
      readonly page: number;
      readonly pageSize: number;
    }
  | { readonly action: 'history'; readonly taskId: string; readonly accessToken: string };

/** The states from which a retry takes devices. */
export const RETRIED = ['failed', 'cancelled'] as const;
type Retried = (typeof RETRIED)[number];

const PAGE_SIZE = 20;
const MAX_PAGE_SIZE = 1000;
const MAX_TOKEN = 1024;
const MAX_NAME = 256;
const MAX_PACKAGE = 64 * 1024;

/** Reads `msg.payload`. @throws OtaError OTA_BAD_INPUT, OTA_BAD_UPGRADE naming the field */
export function readCommand(payload: unknown, defaults: Policy): Command {
  if (!isObject(payload)) {
    throw new OtaError(
      'OTA_BAD_INPUT',
      `msg.payload must be an object {action, …}, not ${typeName(payload)}.`,
    );
  }
  const action = ACTIONS.find((name) => name === field(payload, 'action'));
  switch (action) {
    case 'create':
    case 'preview':
      return { action, input: readTask(payload, defaults), ...readPage(payload) };
    case 'pause':
    case 'resume':
    case 'remove':
    case 'get':
      return { action, taskId: required(payload, 'taskId') };
    case 'cancel':
      return { action, taskId: required(payload, 'taskId'), accessTokens: readSome(payload) };
    case 'retry':
      return {
        action,
        taskId: required(payload, 'taskId'),
        accessTokens: readSome(payload),
        status: readStatus(payload, RETRIED),
      };
    case 'list':
      return { action, ...readPage(payload) };
    case 'devices':
      return {
        action,
        taskId: required(payload, 'taskId'),
        status: readStatus(payload, DEVICE_STATUSES),
        search: optional(payload, 'search'),
        ...readPage(payload),
      };
    case 'history':
      return {
        action,
        taskId: required(payload, 'taskId'),
        accessToken: storable(required(payload, 'accessToken')),
      };
    case undefined:
      throw bad('action', `must be one of ${ACTIONS.join(', ')}`);
  }
}

function readTask(payload: JsonObject, defaults: Policy): TaskInput {
  const given = field(payload, 'package');
  if (!isObject(given))
    throw bad('package', `must be an object {version, url, size, sign, …}, not ${typeName(given)}`);
  const upgrade = checkUpgrade(given);
  const pack = readPackage(given, upgrade);
  const targets = readTargets(field(payload, 'targets'));
  const startAt = readStartAt(field(payload, 'startAt'));
  return {
    name: optional(payload, 'name').slice(0, MAX_NAME),
    upgrade,
    description: '',
    package: pack,
    packages: [{ upgrade, package: pack, fromVersions: [], requires: null }],
    targets,
    startAt,
    policy: readPolicy(field(payload, 'policy'), policyFor(given, defaults)),
    endAt: null,
    endBehavior: 'stop',
    joining: null,
  };
}

/** A differential package fits the version that it was made from, unless the task says otherwise. */
function policyFor(given: JsonObject, defaults: Policy): Policy {
  const fromVersion = field(given, 'fromVersion') ?? '';
  if (typeof fromVersion !== 'string') {
    throw bad('package.fromVersion', `must be text, not ${typeName(fromVersion)}`);
  }
  return fromVersion === '' ? defaults : { ...defaults, fromVersions: [fromVersion] };
}

/** What was given, for people, with the fields that are sent in the form in which they are sent. */
function readPackage(given: JsonObject, upgrade: UpgradeOut): { readonly [key: string]: unknown } {
  let all: JsonObject;
  try {
    all = { ...(safeCopy(JSON.parse(JSON.stringify(given))) as JsonObject), ...upgrade };
  } catch {
    throw bad('package', 'holds what can not be written as JSON');
  }
  if (JSON.stringify(all).length > MAX_PACKAGE) throw bad('package', 'is larger than 64 KiB');
  return all;
}

function readTargets(value: unknown): Targets {
  if (value === 'all') return 'all';
  if (Array.isArray(value)) {
    if (value.length === 0) throw bad('targets', 'is empty: a task needs at least one device');
    // The tokens themselves are looked at in slices: there may be a million.
    return value as readonly string[];
  }
  if (isObject(value)) {
    const extra = Object.keys(value).find((key) => key !== 'version');
    if (extra !== undefined) throw bad(`targets.${extra}`, 'is no field of a filter: use {version}');
    const version = field(value, 'version');
    const versions: unknown[] = Array.isArray(version) ? version : [version];
    if (versions.length === 0 || !versions.every((item) => typeof item === 'string' && item !== '')) {
      throw bad('targets.version', 'must be a version (text), or a list of them');
    }
    return { versions: versions as string[] };
  }
  throw bad('targets', 'must be "all", an array of access tokens, or a filter {version}');
}

/**
 * Some tokens of an array. What no topic takes is no error here: such a device ends as `refused`.
 * @param first where in the array they begin
 * @throws OtaError OTA_BAD_INPUT
 */
export function checkTargets(values: readonly unknown[], name: string, first: number): string[] {
  // Not `map`, which leaves holes out.
  return Array.from(values, (value, i) => {
    if (typeof value === 'string' && value !== '' && value.length <= MAX_TOKEN) return storable(value);
    const what = typeof value === 'string' ? `a text of ${value.length}` : typeName(value);
    throw bad(
      name,
      `must hold access tokens, texts of 1 to ${MAX_TOKEN} characters: item ${first + i} is ${what}`,
    );
  });
}

/** Databases keep neither NUL nor half a character: in their place stands another that no topic takes. */
function storable(token: string): string {
  return token.replace(/[\0\p{Cs}]/gu, '\u0001');
}

function readSome(payload: JsonObject): readonly unknown[] | null {
  // A row of output 2 that is sent back would else mean the whole task.
  if (field(payload, 'accessToken') !== undefined) throw bad('accessToken', 'must be a list: "accessTokens"');
  const value = field(payload, 'accessTokens');
  if (value === undefined || value === null) return null;
  if (!Array.isArray(value) || value.length === 0)
    throw bad('accessTokens', 'must be a list of access tokens');
  return value as readonly unknown[];
}

function readStartAt(value: unknown): number | null {
  if (value === undefined || value === null || value === '') return null;
  const at = typeof value === 'number' ? value : readTime(value);
  if (!Number.isFinite(at) || Math.abs(at) > 8.64e15) {
    throw bad('startAt', 'must be a time such as "2026-01-31T02:00:00Z"');
  }
  return at;
}

function readStatus<T extends DeviceStatus>(payload: JsonObject, among: readonly T[]): T | null {
  const value = field(payload, 'status');
  if (value === undefined || value === null || value === '' || value === 'all') return null;
  const status = among.find((name) => name === value);
  if (status === undefined) throw bad('status', `must be one of ${among.join(', ')}`);
  return status;
}

function readPage(payload: JsonObject): { page: number; pageSize: number } {
  return {
    page: whole(payload, 'page', 1, 1e9),
    pageSize: whole(payload, 'pageSize', PAGE_SIZE, MAX_PAGE_SIZE),
  };
}

function whole(payload: JsonObject, name: string, byDefault: number, max: number): number {
  const value = field(payload, name);
  if (value === undefined || value === null || value === '') return byDefault;
  const read = typeof value === 'string' ? Number(value) : value;
  if (typeof read !== 'number' || !Number.isInteger(read) || read < 1 || read > max) {
    throw bad(name, `must be a whole number between 1 and ${max}`);
  }
  return read;
}

function required(payload: JsonObject, name: string): string {
  const value = optional(payload, name);
  if (value === '') throw bad(name, 'is missing');
  return value;
}

function optional(payload: JsonObject, name: string): string {
  const value = field(payload, name);
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw bad(name, `must be text, not ${typeName(value)}`);
  return value;
}

function bad(name: string, why: string): OtaError {
  return new OtaError('OTA_BAD_INPUT', `"${name}" ${why}.`);
}
