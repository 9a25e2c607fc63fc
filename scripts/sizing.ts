/**
 * How large a fleet's database and load are: `npx tsx scripts/sizing.ts`, or for one fleet
 * `npx tsx scripts/sizing.ts --devices 250000 --package 20`. What a report takes is what `npm run bench -- --only=h`
 * measured on two cores that broker, database, instances and the simulated devices share.
 */
import { parseArgs } from 'node:util';

/** Reports of progress in one upgrade. */
const REPORTS = 12;
/** The part of the fleet that is upgraded in one hour. */
const UPGRADED = 0.1;
/** Microseconds of one core for each report in small batches, as four instances have them; in full ones 43 and 38. */
const MICROSECONDS = { node: 148, postgres: 112 };
/** Bytes with their indexes: twice what rows take that were just written, for updates leave holes. */
const BYTES = { known: 380, row: 1040, history: 220 };
/** Reports a second that one instance takes for sure. */
const REPORTS_OF_INSTANCE = 5000;

const { values } = parseArgs({
  options: {
    devices: { type: 'string' },
    /** Megabytes. */
    package: { type: 'string', default: '10' },
  },
});

function size(devices: number, megabytes: number): string {
  const upgraded = devices * UPGRADED;
  const reports = (upgraded * REPORTS) / 3600 + devices / 86_400;
  const history = upgraded * (REPORTS + 1);
  const rows = devices + upgraded + history;
  const bytes = devices * BYTES.known + upgraded * BYTES.row + history * BYTES.history;
  const node = (reports * MICROSECONDS.node) / 1e6;
  const postgres = (reports * MICROSECONDS.postgres) / 1e6;
  const line = (upgraded * megabytes * 8) / 3600 / 1000;
  const cells = [
    devices.toLocaleString('en-US'),
    Math.round(reports).toLocaleString('en-US'),
    `${(rows / 1e6).toPrecision(2)} M`,
    `${(bytes / 1e9).toPrecision(2)} GB`,
    `${(node * 100).toPrecision(2)} %`,
    `${(postgres * 100).toPrecision(2)} %`,
    `${line.toPrecision(2)} Gbit/s`,
    // One more than the load asks for: one may die.
    String(Math.ceil(reports / REPORTS_OF_INSTANCE) + 1),
  ];
  return `| ${cells.join(' | ')} |`;
}

const fleets = values.devices === undefined ? [100_000, 1_000_000, 10_000_000] : [Number(values.devices)];
console.log(
  '| devices | reports/s | rows | database | a core, Node.js | a core, PostgreSQL | packages | instances |',
);
console.log('| --- | --- | --- | --- | --- | --- | --- | --- |');
for (const devices of fleets) console.log(size(devices, Number(values.package)));
