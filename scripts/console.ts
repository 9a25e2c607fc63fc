/** Writes examples/console from the parts in scripts/console: `npx tsx scripts/console.ts`. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ROOT } from './build/paths';
import { flows, print } from './console/assemble';

async function main(): Promise<void> {
  for (const [name, nodes] of flows()) {
    const file = path.join(ROOT, 'examples', name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, await print(nodes));
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
