/** A process that downloads one package, to be killed: argv is the folder, the upgrade as JSON. */
import { startVerifier } from './packages';

const [directory = '', upgrade = '{}'] = process.argv.slice(2);

void startVerifier({ directory, stallMs: 60_000, totalMs: 60_000 })
  .then((test) => test.verify(JSON.parse(upgrade)))
  .then(({ filename }) => console.log(`verified ${filename}`));
