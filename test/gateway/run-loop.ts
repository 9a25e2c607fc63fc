/**
 * `npm run gateway-loop -- 200`: so many upgrades of the example device-agent, a kill of Node-RED at a random moment
 * in each, several gateways side by side (`-- 200 4`). Prints at which points they were killed, and what went wrong;
 * ends with 1 where anything did, or where 200 upgrades met a point less than 15 times. Build first.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Gateway, SPEED } from './gateway';
import { type Point, POINTS, upgrade, type Upgrade } from './loop';

const count = Number(process.argv[2] ?? 200);
const gateways = Math.min(count, Number(process.argv[3] ?? 3));
const killed = new Map<Point, number>(POINTS.map((point) => [point, 0]));
/** Upgrades that are on their way to a point. */
const begun = new Map<Point, number>();
/** In a whole run each point is met so often at least, and so many reports wait for a broker that is away. */
const WHOLE = { upgrades: 200, kills: 15, away: 10 };
const wrong: string[] = [];
let ended = 0;
let away = 0;
let next = 0;

/**
 * The point that was met least often, and a random moment up to a tenth of a second later: often the upgrade has
 * gone on to the next point then. Every other report waits for a broker that is away.
 */
function planOf(i: number): Upgrade {
  const met = (point: Point): number => (killed.get(point) ?? 0) + (begun.get(point) ?? 0);
  const point = POINTS.reduce((least, one) => (met(one) < met(least) ? one : least));
  const brokerAway = point === 'reported' && met(point) % 2 === 1;
  return { version: `v2.${i}`, point, brokerAway, delayMs: Math.floor(Math.random() ** 3 * 100) };
}

async function work(): Promise<void> {
  let gateway = await Gateway.start();
  try {
    while (next < count) {
      const i = next;
      next += 1;
      const plan = planOf(i);
      begun.set(plan.point, (begun.get(plan.point) ?? 0) + 1);
      try {
        const point = await upgrade(gateway, plan, String(3_000_000_000 + i));
        killed.set(point, (killed.get(point) ?? 0) + 1);
        if (plan.brokerAway) away += 1;
        ended += 1;
        const where = `killed when ${point}${plan.brokerAway ? ', broker away' : ''}`;
        console.log(`${plan.version} ended, ${where}; ${ended} of ${count}, ${wrong.length} went wrong`);
      } catch (error) {
        wrong.push(`${plan.version} (${plan.point}): ${String(error)}`);
        console.error(wrong.at(-1), gateway.texts, gateway.installs().slice(-4), gateway.log().slice(-5));
        await gateway.stop();
        gateway = await Gateway.start();
      } finally {
        begun.set(plan.point, (begun.get(plan.point) ?? 1) - 1);
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
  if (count >= WHOLE.upgrades) {
    for (const [point, kills] of killed) {
      if (kills < WHOLE.kills) wrong.push(`killed ${kills} times when ${point}, not ${WHOLE.kills}`);
    }
    if (away < WHOLE.away) wrong.push(`${away} kills with the broker away, not ${WHOLE.away}`);
  }
  for (const text of wrong) console.error(text);
  process.exitCode = wrong.length === 0 && ended === count ? 0 : 1;
}

void main();
