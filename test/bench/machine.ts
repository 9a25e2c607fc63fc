/** What a benchmark ran on. */
import os from 'node:os';

export function machine(): string {
  const { model } = os.cpus()[0] ?? { model: 'unknown processor' };
  const memory = `${Math.round(os.totalmem() / 2 ** 30)} GiB`;
  const load = `load ${(os.loadavg()[0] ?? 0).toFixed(1)}`;
  return `${os.cpus().length} × ${model.trim()}, ${memory}, ${os.type()} ${os.release()}, Node.js ${process.version}, ${load}`;
}
