/**
 * `npm run gateway-loop -- 200`: so many upgrades of the example device-agent, a kill of Node-RED at a random moment
 * in each, several gateways side by side (`-- 200 4`). Prints at which points they were killed, and what went wrong;
 * ends with 1 where anything did. Build first.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Gateway, SPEED } from './gateway';
import { type Point, POINTS, upgrade, type Upgrade } from './loop';

const count = Number(process.argv[2] ?? 200);
const gateways = Math.min(count, Number(process.argv[3] ?? 3));
const killed = new Map<Point, number>(POINTS.map((point) => [point, 0]));
const wrong: string[] = [];
let ended = 0;
let away = 0;
let next = 0;

/** Each point in turn, met up to a tenth of a second later; every other report waits for a broker that is away. */
function planOf(i: number): Upgrade {
  const point = POINTS[i % POINTS.length] as Point;
  const brokerAway = point === 'reported' && i % (2 * POINTS.length) >= POINTS.length;
  return { version: `v2.${i}`, point, brokerAway, delayMs: Math.floor(Math.random() * 100) };
}

async function work(): Promise<void> {
  let gateway = await Gateway.start();
  try {
    while (next < count) {
      const i = next;
      next += 1;
      const plan = planOf(i);
      try {
        const point = await upgrade(gateway, plan, String(3_000_000_000 + i));
        killed.set(point, (killed.get(point) ?? 0) + 1);
        if (plan.brokerAway) away += 1;
        ended += 1;
        console.log(`${plan.version} ended, killed when ${point}${plan.brokerAway ? ', broker away' : ''}`);
      } catch (error) {
        wrong.push(`${plan.version} (${plan.point}): ${String(error)}`);
        console.error(wrong.at(-1), gateway.heard, gateway.installs().slice(-4), gateway.red.lines.slice(-5));
        await gateway.stop();
        gateway = await Gateway.start();
      }
    }
  } finally {
    await gateway.stop();
  }
}

async function main(): Promise<void> {
  console.log(`${count} upgrades on ${gateways} gateways; their clocks go ${SPEED} times as fast as ours`);
  await Promise.all(
    Array.from({ length: gateways }, async (_, i) => {
      await sleep(i * 3000);
      await work();
    }),
  );
  console.table([...killed].map(([point, kills]) => ({ point, kills })));
  console.log(`${ended} of ${count} upgrades ended with their version reported, ${away} of them while the`);
  console.log(`report waited for a broker that was away; ${wrong.length} went wrong`);
  for (const text of wrong) console.error(text);
  process.exitCode = wrong.length === 0 && ended === count ? 0 : 1;
}

void main();
