/**
 * Questions of devices that wait for their answer. Owns which answer belongs to which question: the id and the
 * device; never keeps one longer than its time limit.
 */
import { type Answer, OtaError, type Upgrade } from '../protocol';

/** What became of a question; `upgrade` is null where there is nothing to do, or `error` says why none is known. */
export interface Answered {
  readonly upgrade: Upgrade | null;
  readonly error: OtaError | null;
}

interface Open {
  readonly answered: (answered: Answered) => void;
  readonly timer: NodeJS.Timeout;
}

/** Questions at once. */
const LIMIT = 10_000;

export class Requests {
  readonly #open = new Map<string, Open>();

  /** Notes a question. `answered` is called once, later. False where too many wait. */
  add(accessToken: string, id: string, timeoutMs: number, answered: (answered: Answered) => void): boolean {
    if (this.#open.size >= LIMIT) return false;
    const key = keyOf(accessToken, id);
    const timer = setTimeout(() => {
      const text = 'The platform did not answer in time: ask again later, or wait for its push.';
      this.fail(accessToken, id, new OtaError('OTA_TIMEOUT', text));
    }, timeoutMs);
    this.#open.set(key, { answered, timer });
    return true;
  }

  /** The answer came. False where nobody waits for it: it came late, or for another client. */
  answer(accessToken: string, { id, upgrade }: Answer): boolean {
    return id !== null && this.#end(keyOf(accessToken, id), { upgrade, error: null });
  }

  /** True while it waits. */
  has(accessToken: string, id: string): boolean {
    return this.#open.has(keyOf(accessToken, id));
  }

  fail(accessToken: string, id: string, error: OtaError): void {
    this.#end(keyOf(accessToken, id), { upgrade: null, error });
  }

  /** Ends all of them. */
  close(error: OtaError): void {
    for (const key of [...this.#open.keys()]) this.#end(key, { upgrade: null, error });
  }

  #end(key: string, answered: Answered): boolean {
    const open = this.#open.get(key);
    if (open === undefined) return false;
    this.#open.delete(key);
    clearTimeout(open.timer);
    open.answered(answered);
    return true;
  }
}

function keyOf(accessToken: string, id: string): string {
  return JSON.stringify([accessToken, id]);
}
