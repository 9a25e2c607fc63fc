/** What ends the demo from outside: Ctrl-C, a closed terminal, a signal, or the end of the npm that runs it. */

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const LOOK_MS = 500;

/**
 * Aborts at the first of them. To be called before anything is started: what was is then always ended.
 * Listens for good, because npm and the terminal both send a signal, and the second must not end this process
 * before its children have ended.
 */
export function onInterrupt(): AbortSignal {
  const controller = new AbortController();
  const interrupt = (): void => controller.abort(new Error('Interrupted'));
  for (const signal of SIGNALS) process.on(signal, interrupt);
  // npm hands no signal on: it ends its shell, and this process has another parent then.
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) interrupt();
  }, LOOK_MS).unref();
  return controller.signal;
}

/** Rejects when it is aborted; never resolves. */
export function interrupted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const fail = (): void => reject(signal.reason as Error);
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
}
