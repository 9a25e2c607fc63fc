/** What both sides of the comparison upgrade. */
export const TOPIC = '/ota/device';
export const WINDOW = 200;
export const REPORTS = 5;
export const PACKAGE = {
  version: 'v2',
  url: 'https://packages.example.com/firmware.bin',
  size: 432_945,
  sign: 'a'.repeat(32),
  signMethod: 'MD5',
} as const;

/** The tokens of one run; as long as real ones. */
export function tokens(run: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${run}-${String(i).padStart(8, '0')}-c0ffee00`);
}
