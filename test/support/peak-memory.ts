/** The most memory that this process had at once. */
import fs from 'node:fs';

/** In MiB. Linux knows it of this program alone; getrusage also counts the process that started it. */
export function peakMiB(): number {
  const status = fs.existsSync('/proc/self/status') ? fs.readFileSync('/proc/self/status', 'utf8') : '';
  const kib = /^VmHWM:\s+([0-9]+) kB/m.exec(status)?.[1] ?? process.resourceUsage().maxRSS;
  return Number(kib) / 1024;
}
