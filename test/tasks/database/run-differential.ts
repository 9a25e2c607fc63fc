/** More histories than a usual run: `npm run differential -- 300`. */
import { spawnSync } from 'node:child_process';

const histories = Number(process.argv[2] ?? 300);
const args = ['--no-config', '--import=tsx', 'test/tasks/database/differential.test.ts'];
const env = { ...process.env, OTA_HISTORIES: String(histories) };
process.exitCode = spawnSync('npx', ['mocha', ...args], { stdio: 'inherit', env }).status ?? 1;
