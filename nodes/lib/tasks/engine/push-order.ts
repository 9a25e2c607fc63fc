/**
 * In which order the devices of a task are pushed to. Neighbours in the order of their tokens often share a site and
 * its uplink, so they are spread; but not over the whole task: the rows are made in the order of the pushes, and a
 * transaction that touches the indexes by token all over a file takes many times as long. Writes nothing.
 */
import type { Chosen } from './targets';
import { EventLoopYielder } from './yielder';

/** Neighbours whose entries of an index stand on one page or two. */
const BLOCK = 64;
/** Blocks from all over the task whose devices are mixed: up to 4096 devices the order is wholly random. */
const BLOCKS_AT_ONCE = 64;
/** Devices between two looks at the time. */
const STEP = 4096;

/**
 * Brings devices into the order of their pushes.
 * @param chosen in the order of their tokens, or as a list named them
 * @param ends where each wave ends
 * @param isListed a list keeps its order as far as waves go; of the others each wave is a random sample
 */
export async function pushOrder(
  { tokens, sources }: Pick<Chosen, 'tokens' | 'sources'>,
  ends: readonly number[],
  isListed: boolean,
): Promise<Pick<Chosen, 'tokens' | 'sources'>> {
  const yielder = new EventLoopYielder();
  const order = isListed ? asListed(tokens.length) : await drawWaves(ends, yielder);
  for (const [i, end] of ends.entries()) await mix(order.subarray(ends[i - 1] ?? 0, end), yielder);
  const ordered: { tokens: string[]; sources: (string | null)[] } = { tokens: [], sources: [] };
  for (const [i, from] of order.entries()) {
    ordered.tokens.push(tokens[from] ?? '');
    ordered.sources.push(sources[from] ?? null);
    if (i % STEP === 0) await yielder.next();
  }
  return ordered;
}

function asListed(total: number): Uint32Array {
  return Uint32Array.from({ length: total }, (_, i) => i);
}

/** The devices of each wave, drawn at random, in the order in which they were. */
async function drawWaves(ends: readonly number[], yielder: EventLoopYielder): Promise<Uint32Array> {
  const total = ends.at(-1) ?? 0;
  const order = new Uint32Array(total);
  const places = ends.map((_, wave) => ends[wave - 1] ?? 0);
  for (let i = 0; i < total; i += 1) {
    let drawn = Math.floor(Math.random() * (total - i));
    let wave = 0;
    for (; drawn >= left(wave); wave += 1) drawn -= left(wave);
    order[places[wave] ?? 0] = i;
    places[wave] = (places[wave] ?? 0) + 1;
    if (i % STEP === 0) await yielder.next();
  }
  return order;

  function left(wave: number): number {
    return (ends[wave] ?? 0) - (places[wave] ?? 0);
  }
}

/** Mixes in place. */
async function mix(order: Uint32Array, yielder: EventLoopYielder): Promise<void> {
  const before = order.slice();
  const blocks = asListed(Math.ceil(order.length / BLOCK));
  shuffle(blocks);
  let filled = 0;
  for (let from = 0; from < blocks.length; from += BLOCKS_AT_ONCE) {
    const start = filled;
    for (const block of blocks.subarray(from, from + BLOCKS_AT_ONCE)) {
      const devices = before.subarray(block * BLOCK, (block + 1) * BLOCK);
      order.set(devices, filled);
      filled += devices.length;
    }
    shuffle(order.subarray(start, filled));
    await yielder.next();
  }
}

function shuffle(list: Uint32Array): void {
  for (let last = list.length - 1; last > 0; last -= 1) {
    const other = Math.floor(Math.random() * (last + 1));
    const kept = list[last] ?? 0;
    list[last] = list[other] ?? 0;
    list[other] = kept;
  }
}
