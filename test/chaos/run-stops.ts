/** `npm run stops`: 14 SIGTERMs and 40 full deploys under 2,000 reports a second; exit status 1 where one is lost. */
import { build } from '../../scripts/build';
import { runStops } from './stops';

build()
  .then(() => runStops({ devices: 2000, sigterms: 14, deploys: 40, log: (line) => console.log(line) }))
  .then(
    (missing) => {
      for (const each of missing) console.log(`missing: ${each}`);
      process.exitCode = missing.length === 0 ? 0 : 1;
    },
    (error: unknown) => {
      console.error(error);
      process.exitCode = 1;
    },
  );
