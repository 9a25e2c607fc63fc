/**
 * Many runs of the chaos test: `npm run chaos -- --seeds 20 --seconds 90 --from 1`. MQTT 5 and 3.1.1 in turns. Tells
 * each violation with its seed and ends with 1 where there was one.
 */
import { parseArgs } from 'node:util';
import { runChaos } from './chaos';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '4' },
    from: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '60' },
    verbose: { type: 'boolean', default: false },
  },
});

async function main(): Promise<void> {
  const from = Number(values.from);
  let wrong = 0;
  for (let seed = from; seed < from + Number(values.seeds); seed += 1) {
    const protocolVersion = seed % 2 === 0 ? 4 : 5;
    const log = values.verbose ? (line: string): void => console.log(line) : undefined;
    const violations = await runChaos({ seed, seconds: Number(values.seconds), protocolVersion, log });
    console.log(
      `seed ${seed}, MQTT ${protocolVersion === 5 ? '5' : '3.1.1'}: ${violations.length} violations`,
    );
    for (const violation of violations.slice(0, 50)) console.log(`  ${violation}`);
    wrong += violations.length;
  }
  process.exitCode = wrong === 0 ? 0 : 1;
}

void main();
