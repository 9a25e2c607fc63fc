/** Runs in each measured process: counts messages on its parent's order and tells what they cost. */

/** What the parent may order, one at a time. */
export type Order =
  | { readonly do: 'count'; readonly count: number }
  | { readonly do: 'push'; readonly count: number }
  | { readonly do: 'stop' }
  | { readonly do: 'heap' };

export type Answer =
  | { readonly told: 'ready' }
  | { readonly told: 'result'; readonly hits: number; readonly cpuMs: number; readonly ms: number }
  | { readonly told: 'heap'; readonly bytes: number };

export interface Meter {
  /** One message went through. */
  hit(): void;
}

/** Begins to obey the parent. `push` starts a job of `count` pushes, each of which ends in a hit. */
export function obey(push: (count: number) => () => void): Meter {
  let left = 0;
  let hits = 0;
  let cpu = process.cpuUsage();
  let begun = 0;
  const answer = (told: Answer): void => void process.send?.(told);
  const begin = (count: number): void => {
    left = count;
    hits = 0;
    begun = performance.now();
    cpu = process.cpuUsage();
  };
  const end = (): void => {
    left = 0;
    const { user, system } = process.cpuUsage(cpu);
    answer({ told: 'result', hits, cpuMs: (user + system) / 1000, ms: performance.now() - begun });
  };
  process.on('message', (order: Order) => {
    if (order.do === 'count') {
      begin(order.count);
    } else if (order.do === 'push') {
      // What is handed in isn't what is measured.
      const go = push(order.count);
      begin(order.count);
      go();
    } else if (order.do === 'heap') {
      for (let i = 0; i < 3; i += 1) global.gc?.();
      answer({ told: 'heap', bytes: process.memoryUsage().heapUsed });
    } else if (left > 0) {
      end();
    }
  });
  return {
    hit() {
      hits += 1;
      if (left > 0 && hits >= left) end();
    },
  };
}

/** Tells the parent that this process can be measured. */
export function ready(): void {
  const told: Answer = { told: 'ready' };
  process.send?.(told);
}
