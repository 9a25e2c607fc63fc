/** How the fields of a command are read, whichever node takes it. Pure; the node says in its own words what is wrong. */

/** Rows of a page, where a command names none, and at most. */
export const PAGE_SIZE = 20;
export const MAX_PAGE_SIZE = 1000;
/** The number of a page at most. */
export const MAX_PAGE = 1e9;

/** True for what a form sends for a field that was left empty. */
export function isBlank(value: unknown): value is undefined | null | '' {
  return value === undefined || value === null || value === '';
}

/** True or false, also as text; blank is false. Null for anything else. */
export function readFlag(value: unknown): boolean | null {
  if (isBlank(value) || value === false || value === 'false') return false;
  return value === true || value === 'true' ? true : null;
}

/** A whole number from 1 on, also as text. Null for anything else. */
export function readWhole(value: unknown, byDefault: number, max: number): number | null {
  if (isBlank(value)) return byDefault;
  const read = typeof value === 'string' ? Number(value) : value;
  return typeof read === 'number' && Number.isInteger(read) && read >= 1 && read <= max ? read : null;
}
