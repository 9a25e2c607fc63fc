/**
 * A process that downloads packages with ota-verify's verifier and prints what it took as JSON: fresh for each
 * measurement. argv: an Order as JSON.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { Verifier } from '../../../nodes/lib/packages/verify';

export interface Order {
  readonly url: string;
  readonly size: number;
  readonly sha256: string;
  readonly directory: string;
  /** How many at once, each a file of its own. */
  readonly downloads: number;
}

export interface Took {
  readonly ms: number;
  readonly lagP99Ms: number;
  readonly lagMaxMs: number;
}

async function run({ url, size, sha256, directory, downloads }: Order): Promise<Took> {
  const verifier = new Verifier({
    source: 'url',
    owner: 'bench',
    directory,
    retries: 5,
    stallMs: 30_000,
    totalMs: 600_000,
    maxBytes: size,
    requireSign: true,
    allowedHosts: [],
    allowLocal: true,
    maxRedirects: 0,
    publicKeys: [],
    rollback: 'off',
    concurrency: downloads,
    keep: downloads,
    // What going on costs, without the wait before it.
    backoff: () => 0,
    onFault: (error) => console.error(error),
  });
  const lag = monitorEventLoopDelay({ resolution: 1 });
  lag.enable();
  // Its first values are of its own start.
  await delay(20);
  lag.reset();
  const started = performance.now();
  const upgrade = { version: '1', size, url, signMethod: 'SHA256', sign: sha256 };
  await Promise.all(
    Array.from({ length: downloads }, (_, index) =>
      verifier.verify({ upgrade: { ...upgrade, module: `M${index}` }, onBytes: () => {} }),
    ),
  );
  const ms = performance.now() - started;
  await delay(5);
  lag.disable();
  await verifier.close();
  return { ms, lagP99Ms: lag.percentile(99) / 1e6, lagMaxMs: lag.max / 1e6 };
}

void run(JSON.parse(process.argv[2] ?? '{}') as Order).then((took) => console.log(JSON.stringify(took)));
