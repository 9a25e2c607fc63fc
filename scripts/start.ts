/**
 * `npm start`: the whole project at work. Builds what is stale, starts a broker and Node-RED on 127.0.0.1 with
 * the console, simulated devices and a package, and says where to click. `npm start -- --once` does one upgrade
 * without a person: exit 0, or 1 with the reason. With `--cluster` two Node-REDs work on one fleet in PostgreSQL, see
 * demo/cluster.ts.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { build } from './build';
import { ROOT } from './build/paths';
import { claim } from './demo/claim';
import { runCluster } from './demo/cluster';
import { type DemoBroker, startBroker, startWatchedBroker, type WatchedBroker } from './demo/broker';
import { CONSOLE, exampleFlow, updateFlowFile, WHOLE_UPGRADE } from './demo/flow';
import { interrupted, onInterrupt } from './demo/interrupt';
import { type DemoNodeRed, startNodeRed } from './demo/node-red';
import { upgradeOnce } from './demo/once';
import { addFirstPackage } from './demo/package';
import { nextFreePort } from './demo/ports';

const DEMO = path.join(ROOT, '.demo');

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(): Promise<void> {
  const once = process.argv.includes('--once');
  const signal = onInterrupt();
  await build();
  signal.throwIfAborted();
  await fs.mkdir(DEMO, { recursive: true });
  if (process.argv.includes('--cluster')) return runCluster({ once, folder: DEMO, signal, say });
  // One run doesn't depend on what somebody changed in the demo's flow before.
  const userDir = once ? await fs.mkdtemp(path.join(DEMO, 'once-')) : path.join(DEMO, 'node-red');
  await fs.mkdir(userDir, { recursive: true });
  const release = await claim(userDir);
  let broker: DemoBroker | null = null;
  let red: DemoNodeRed | null = null;
  try {
    const mqtt = await nextFreePort(1883);
    const watched = once ? await startWatchedBroker(mqtt) : null;
    broker = watched ?? (await startBroker(mqtt));
    const http = await nextFreePort(1880);
    const ports = { http, mqtt, protocolVersion: broker.protocolVersion };
    const examples = once ? [WHOLE_UPGRADE] : [CONSOLE, WHOLE_UPGRADE];
    const kept = await updateFlowFile(path.join(userDir, 'flows.json'), ports, examples);
    if (!once) await addFirstPackage(userDir);
    red = await startNodeRed({ userDir, port: http, signal, ...(once ? {} : { onLine: say }) });
    if (!kept) await red.deploy(await exampleFlow(ports, examples));
    if (watched !== null) await runOnce(red, watched, signal);
    else await serve(red, broker, signal);
  } finally {
    await red?.stop();
    await broker?.stop();
    await release();
    if (once) await fs.rm(userDir, { recursive: true, force: true });
  }
}

async function runOnce(red: DemoNodeRed, broker: WatchedBroker, signal: AbortSignal): Promise<void> {
  try {
    await Promise.race([upgradeOnce(red, broker, say), interrupted(signal)]);
    say('The whole upgrade went through.');
  } catch (error) {
    const reason = (error instanceof Error ? error.message : String(error)).replace(/\.$/, '');
    throw new Error(`The upgrade failed: ${reason}.\n${red.log.slice(-20).join('\n')}`, { cause: error });
  }
}

/** Until Ctrl-C, or until Node-RED ends by itself. */
async function serve(red: DemoNodeRed, broker: DemoBroker, signal: AbortSignal): Promise<void> {
  say('');
  say(`The console:       ${red.url}/dashboard`);
  say(`Node-RED's editor: ${red.url}`);
  say(`MQTT broker:       mqtt://127.0.0.1:${broker.port}`);
  say('');
  say(
    'In the console: "Upgrade devices" beside the package, then "Start upgrade", and watch twenty devices.',
  );
  say('In the editor, tab "OTA: a whole upgrade": click "1. the device reports v1.0", then "2. push v1.1".');
  say('Ctrl-C ends both. The demo keeps its flow in .demo/node-red; remove that folder to start over.');
  await Promise.race([interrupted(signal).catch(() => undefined), red.ended]);
  if (signal.aborted) return;
  throw new Error(`Node-RED ended by itself (${String(await red.ended)}); its log is above.`);
}

main()
  .catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  })
  // What a library keeps open after it was cut short must not keep a process that nobody waits for any more.
  .finally(() => process.exit());
