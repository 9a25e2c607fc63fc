/** Commands on the fleet: who runs what, all about a device, labels, signs of life, devices to be forgotten. */
import { checkTargets, type CommandOf } from '../commands';
import { deviceShape, fleetShape } from '../shapes';
import { fleetNeed, type FleetChanged, forget, label, seen } from '../transactions';
import type { Instant, Need } from '../database';
import type { Operating } from './operating';
import { EventLoopYielder, SLICE } from './yielder';

export async function fleet(engine: Operating, command: CommandOf<'fleet'>): Promise<object> {
  const { module, version, search, labels, page, pageSize } = command;
  const found = await engine.database.fleet({ module, version, search, labels, page, pageSize });
  return { ...found, page, pageSize, devices: found.devices.map(fleetShape) };
}

export async function device(
  engine: Operating,
  { accessToken, page, pageSize }: CommandOf<'device'>,
): Promise<object> {
  const found = await engine.database.device(accessToken, { page, pageSize });
  return {
    accessToken,
    labels: found.labels,
    modules: found.modules.map(({ seenAt, ...module }) => ({
      ...module,
      seenAt: new Date(seenAt).toISOString(),
    })),
    tasks: found.rows.map(({ plan, device: row }) => ({
      taskId: plan.taskId,
      name: plan.name,
      ...deviceShape(row, plan),
    })),
    total: found.total,
    page,
    pageSize,
  };
}

/** In slices; all tokens are looked at before the first device is changed. */
export async function changeFleet(
  engine: Operating,
  command: CommandOf<'label' | 'forget' | 'seen'>,
): Promise<FleetChanged> {
  const yielder = new EventLoopYielder();
  const slices: string[][] = [];
  for (let from = 0; from < command.accessTokens.length; from += SLICE) {
    slices.push(checkTargets(command.accessTokens.slice(from, from + SLICE), 'accessTokens', from));
    await yielder.next();
  }
  let sum: FleetChanged = { changed: 0, unknown: 0, left: 0 };
  for (const tokens of slices) {
    const { changed, unknown, left } = await changeSlice(engine, command, tokens);
    sum = { changed: sum.changed + changed, unknown: sum.unknown + unknown, left: sum.left + left };
    await yielder.next();
  }
  engine.scheduler.wake();
  return sum;
}

async function changeSlice(
  engine: Operating,
  command: CommandOf<'label' | 'forget' | 'seen'>,
  tokens: readonly string[],
): Promise<FleetChanged> {
  const need = (at: Instant): Need => fleetNeed(tokens, at);
  switch (command.action) {
    case 'label':
      return engine.lane.transact(need, (rows) => label(tokens, command.labels, rows));
    case 'forget':
      return engine.lane.transact(need, (rows) => forget(tokens, rows));
    case 'seen': {
      const { changes, ...counts } = await engine.lane.transact(need, (rows) => seen(tokens, rows));
      engine.events.emitChanges(changes);
      return counts;
    }
  }
}
