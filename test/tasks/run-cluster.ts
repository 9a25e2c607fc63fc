/**
 * What several instances must withstand, at its full length, three times in a row: `npm run cluster -- 3`. What follows
 * goes to mocha: `npm run cluster -- 1 --grep database`.
 */
import { spawnSync } from 'node:child_process';

const [times = '3', ...more] = process.argv.slice(2);
const args = ['mocha', '--no-config', '--import=tsx', 'test/tasks/cluster-table.ts', ...more];
for (let run = 0; run < Number(times) && (process.exitCode ?? 0) === 0; run += 1) {
  process.exitCode = spawnSync('npx', args, { stdio: 'inherit' }).status ?? 1;
}
