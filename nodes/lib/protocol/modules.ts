/** OTA modules: an MCU, a modem…; `default` is the whole device's firmware. */
export const DEFAULT_MODULE = 'default';

/** The module that is named; null where none is, for blanks are no name. */
export function moduleOrNull(value: string | null | undefined): string | null {
  return value === undefined || value === null || value.trim() === '' ? null : value;
}

/** Absent, null, empty and blank mean `default` (inform, upgrade). */
export function moduleOrDefault(value: string | null | undefined): string {
  return moduleOrNull(value) ?? DEFAULT_MODULE;
}
