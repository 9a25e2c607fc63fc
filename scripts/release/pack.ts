/**
 * `tsx scripts/release/pack.ts [folder]`: what a release consists of, in `.release` or another folder: the tarball, a
 * list of what comes along with it (an SBOM in CycloneDX), and the SHA-256 of both. The whole check tests this very
 * tarball, and the workflow publishes it: it is never packed a second time.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { build } from '../build';
import { ROOT } from '../build/paths';

const run = promisify(execFile);

export const RELEASE_FOLDER = path.join(ROOT, '.release');
export const SBOM = 'sbom.cdx.json';
export const SUMS = 'SHA256SUMS';

/** Empties the folder, builds what is stale, packs. Resolves with the path of the tarball. */
export async function packRelease(folder = RELEASE_FOLDER): Promise<string> {
  await build();
  await fs.rm(folder, { recursive: true, force: true });
  await fs.mkdir(folder, { recursive: true });
  // Built above: no script runs while packing.
  const { stdout } = await npm('pack', '--ignore-scripts', '--json', '--pack-destination', folder);
  const [packed] = JSON.parse(stdout) as [{ filename: string }];
  const tarball = packed.filename.replace('@', '').replace('/', '-');
  await fs.writeFile(path.join(folder, SBOM), await billOfMaterials());
  const sums = await Promise.all(
    [tarball, SBOM].map(async (name) => `${await sha256(path.join(folder, name))}  ${name}\n`),
  );
  await fs.writeFile(path.join(folder, SUMS), sums.join(''));
  return path.join(folder, tarball);
}

/** The parts of npm's SBOM that are looked at here. */
interface Bill {
  metadata: { component: { name: string; 'bom-ref': string } };
  components: { 'bom-ref': string }[];
  dependencies: { ref: string; dependsOn: string[] }[];
}

interface Manifest {
  readonly name: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version: string; readonly dev?: boolean }>>;
}

/**
 * From the lock, so that it names what all machines get, optional parts of other platforms included. What only
 * development needs is taken out here: `npm sbom --omit=dev` leaves out shared packages, too.
 */
async function billOfMaterials(): Promise<string> {
  const { stdout } = await npm('sbom', '--sbom-format=cyclonedx', '--package-lock-only');
  const bill = JSON.parse(stdout) as Bill;
  const { name, dependencies, optionalDependencies } = await readJson<Manifest>('package.json');
  const { packages } = await readJson<Lock>('package-lock.json');
  const shipped = new Set(
    Object.entries(packages)
      .filter(([where, { dev }]) => where !== '' && dev !== true)
      .map(([where, { version }]) => `${where.replace(/^.*node_modules\//, '')}@${version}`),
  );
  const { component } = bill.metadata;
  const ownRef = component['bom-ref'];
  const kept = new Set([ownRef, ...shipped]);
  bill.components = unique(bill.components, (each) => each['bom-ref']).filter((each) =>
    shipped.has(each['bom-ref']),
  );
  const direct = Object.keys({ ...dependencies, ...optionalDependencies });
  bill.dependencies = unique(bill.dependencies, ({ ref }) => ref)
    .filter(({ ref }) => kept.has(ref))
    .map(({ ref, dependsOn }) => ({
      ref,
      dependsOn: dependsOn.filter((each) =>
        ref === ownRef ? direct.includes(each.replace(/@[^@]*$/, '')) : kept.has(each),
      ),
    }));
  // npm takes the name of the folder.
  component.name = name;
  return `${JSON.stringify(bill, null, 2)}\n`;
}

/** The first of those with the same key: npm names a package once for each place where it lies. */
function unique<T>(items: readonly T[], keyOf: (item: T) => string): T[] {
  return [...new Map(items.toReversed().map((item) => [keyOf(item), item])).values()].toReversed();
}

async function readJson<T>(file: string): Promise<T> {
  return JSON.parse(await fs.readFile(path.join(ROOT, file), 'utf8')) as T;
}

async function sha256(file: string): Promise<string> {
  return createHash('sha256')
    .update(await fs.readFile(file))
    .digest('hex');
}

function npm(...args: string[]): Promise<{ stdout: string }> {
  return run('npm', args, { cwd: ROOT, maxBuffer: 16 * 1024 * 1024, shell: process.platform === 'win32' });
}

if (require.main === module) {
  packRelease(process.argv[2]).then(
    (tarball) => console.log(tarball),
    (error: unknown) => {
      console.error(error);
      process.exitCode = 1;
    },
  );
}
