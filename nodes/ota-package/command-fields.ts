/** The fields of ota-package's commands beside `action`, but those of a package that is added. Pure. */
import {
  field,
  isBlank,
  type JsonObject,
  MAX_PAGE,
  MAX_PAGE_SIZE,
  OtaError,
  PAGE_SIZE,
  readFlag,
  readWhole,
  typeName,
} from '../lib/protocol';

const MAX_SEARCH = 128;

export interface ListQuery {
  /** Blank: all. */
  readonly search: string;
  /** null where neither a page nor its size was named: everything at once. */
  readonly page: { readonly page: number; readonly pageSize: number } | null;
}

/** @throws OtaError OTA_BAD_INPUT */
export function readListQuery(payload: JsonObject): ListQuery {
  const search = field(payload, 'search') ?? '';
  if (typeof search !== 'string') throw badInput(`"search" must be text, not ${typeName(search)}`);
  const isPaged = !isBlank(field(payload, 'page')) || !isBlank(field(payload, 'pageSize'));
  return {
    search: search.trim().slice(0, MAX_SEARCH),
    page: isPaged
      ? {
          page: whole(payload, 'page', 1, MAX_PAGE),
          pageSize: whole(payload, 'pageSize', PAGE_SIZE, MAX_PAGE_SIZE),
        }
      : null,
  };
}

/** @throws OtaError OTA_BAD_INPUT */
export function readId(payload: JsonObject): string {
  const id = field(payload, 'id');
  if (typeof id !== 'string' || id === '') throw badInput('"id" must be the id of a package');
  return id;
}

/** @throws OtaError OTA_BAD_INPUT */
export function readForce(payload: JsonObject): boolean {
  const force = readFlag(field(payload, 'force'));
  if (force === null) throw badInput('"force" must be true or false');
  return force;
}

export function badInput(reason: string): OtaError {
  return new OtaError('OTA_BAD_INPUT', `The command can not be carried out: ${reason}.`);
}

function whole(payload: JsonObject, name: string, byDefault: number, max: number): number {
  const value = readWhole(field(payload, name), byDefault, max);
  if (value === null) throw badInput(`"${name}" must be a whole number between 1 and ${max}`);
  return value;
}
