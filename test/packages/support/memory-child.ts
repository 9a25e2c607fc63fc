/** A process that downloads one package and prints its peak memory in MiB: argv is the folder, the upgrade as JSON. */
import { peakMiB } from '../../support/peak-memory';
import { startVerifier } from './packages';

const [directory = '', upgrade = '{}'] = process.argv.slice(2);

void startVerifier({ directory, maxBytes: 2 ** 30, stallMs: 60_000, totalMs: 300_000 })
  .then((test) => test.verify(JSON.parse(upgrade)))
  .then(({ bytes }) => console.log(JSON.stringify({ bytes, peakMiB: peakMiB() })));
