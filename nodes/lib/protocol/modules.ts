/** OTA modules: an MCU, a modem…; `default` is the whole device's firmware. */
export const DEFAULT_MODULE = 'default';

/** Absent, null and empty mean `default` (inform, upgrade). */
export function moduleOrDefault(value: string | null | undefined): string {
  return value === undefined || value === null || value === '' ? DEFAULT_MODULE : value;
}
