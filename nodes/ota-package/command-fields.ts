/** The fields of ota-package's commands beside `action`, but those of a package that is added. Pure. */
import { field, type JsonObject, OtaError, typeName } from '../lib/protocol';

const PAGE_SIZE = 20;
const MAX_PAGE_SIZE = 1000;
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
          page: whole(payload, 'page', 1, 1_000_000_000),
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
  const force = field(payload, 'force');
  if (isBlank(force) || force === false || force === 'false') return false;
  if (force === true || force === 'true') return true;
  throw badInput('"force" must be true or false');
}

export function badInput(reason: string): OtaError {
  return new OtaError('OTA_BAD_INPUT', `The command can not be carried out: ${reason}.`);
}

function whole(payload: JsonObject, name: string, byDefault: number, max: number): number {
  const value = field(payload, name);
  if (isBlank(value)) return byDefault;
  const number = typeof value === 'string' ? Number(value) : value;
  if (typeof number === 'number' && Number.isInteger(number) && number >= 1 && number <= max) return number;
  throw badInput(`"${name}" must be a whole number between 1 and ${max}`);
}

function isBlank(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}
