/**
 * Several instances on one PostgreSQL: what they do together, and what a million devices in it cost. Gives rows for
 * `npm run bench`; alone: `tsx test/bench/cluster.ts [--quick] [--only=reports,commits,queries]`.
 */
import { build } from '../../scripts/build';
import { queryRows } from './cluster/queries';
import { reportRows, slowCommitRow } from './cluster/reports';
import { printTable, type Row } from './table';

export interface ClusterBench {
  readonly quick: boolean;
  readonly say: (line: string) => void;
  /** The parts that are wanted; absent: all. */
  readonly parts?: readonly string[];
}

export async function benchCluster({ quick, say, parts }: ClusterBench): Promise<Row[]> {
  const isWanted = (part: string): boolean => parts === undefined || parts.includes(part);
  const count = quick ? 4000 : 20_000;
  const rows: Row[] = [];
  if (isWanted('reports')) rows.push(...(await reportRows(count, say)));
  if (isWanted('commits')) rows.push(await slowCommitRow(count, say));
  if (isWanted('queries')) rows.push(...(await queryRows(quick ? 100_000 : 1_000_000, say)));
  return rows;
}

if (require.main === module) {
  const only = process.argv.find((argument) => argument.startsWith('--only='))?.slice('--only='.length);
  const quick = process.argv.includes('--quick');
  build()
    .then(() =>
      benchCluster({
        quick,
        say: (line) => console.error(line),
        ...(only === undefined ? {} : { parts: only.split(',') }),
      }),
    )
    .then(
      (rows) => console.log(printTable(rows)),
      (error: unknown) => {
        console.error(error);
        process.exitCode = 1;
      },
    );
}
