/** The tests of several instances in their longer form, three times in a row: `npm run cluster -- 3`. */
import { spawnSync } from 'node:child_process';

const times = Number(process.argv[2] ?? 3);
const args = ['mocha', '--no-config', '--import=tsx', 'test/tasks/cluster.test.ts'];
const env = { ...process.env, OTA_CLUSTER_LONG: '1' };
for (let run = 0; run < times && (process.exitCode ?? 0) === 0; run += 1) {
  process.exitCode = spawnSync('npx', args, { stdio: 'inherit', env }).status ?? 1;
}
