/** Orders to a measured process and its answers, over the channel of fork(). Owns the processes; measures nothing. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

/** Names of orders with what goes out and what comes back. */
export type Orders<O = object> = {
  readonly [K in keyof O]: { readonly order: object; readonly answer: object };
};

type Handlers<O extends Orders<O>> = {
  readonly [K in keyof O]: (order: O[K]['order']) => O[K]['answer'] | Promise<O[K]['answer']>;
};

interface Letter {
  readonly name: string;
  readonly order: object;
}
type Reply = { readonly answer: object } | { readonly error: string };

export interface Process<O extends Orders<O>> {
  readonly pid: number;
  ask<K extends keyof O & string>(name: K, order: O[K]['order']): Promise<O[K]['answer']>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

/** Starts a script of this folder. */
export async function startProcess<O extends Orders<O>>(
  script: string,
  args: readonly string[],
): Promise<Process<O>> {
  const file = path.join(__dirname, script);
  const child = fork(file, args, { execArgv: ['--import=tsx', '--expose-gc'] });
  const gone = once(child, 'exit');
  await reply(child);
  return {
    pid: child.pid ?? 0,
    async ask(name, order) {
      const answered = reply(child);
      child.send({ name, order } satisfies Letter);
      return await answered;
    },
    async kill() {
      child.kill('SIGKILL');
      await gone;
    },
  };
}

function reply(child: ChildProcess): Promise<object> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void =>
      reject(new Error(`A measured process ended (${String(code)}).`));
    child.once('exit', onExit);
    child.once('message', (message: Reply) => {
      child.off('exit', onExit);
      if ('error' in message) reject(new Error(message.error));
      else resolve(message.answer);
    });
  });
}

/** In the measured process: carries orders out, one at a time. */
export function obey<O extends Orders<O>>(handlers: Handlers<O>): void {
  const answer = (what: Reply): void => void process.send?.(what);
  process.on('message', ({ name, order }: Letter) => {
    void Promise.resolve()
      .then(
        () =>
          (handlers as { readonly [name: string]: (order: object) => object | Promise<object> })[name]?.(
            order,
          ) ?? {},
      )
      .then(
        (result) => answer({ answer: result }),
        (error: unknown) => answer({ error: error instanceof Error ? (error.stack ?? '') : String(error) }),
      );
  });
  answer({ answer: {} });
}
