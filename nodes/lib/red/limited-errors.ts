/**
 * Errors of what comes from the wire, at most one a second for each node, see `LogBudget`, with a count of what was left
 * out: a hostile device must not be able to fill the log.
 */
import type { Node } from 'node-red';
import { OtaError } from '../protocol';
import type { Message } from './input';
import { LogBudget } from './log-budget';

export class LimitedErrors {
  readonly #node: Pick<Node, 'error'>;
  #timer: NodeJS.Timeout | null = null;
  #leftOut = 0;
  #last: { error: OtaError; msg: Partial<Message> } | null = null;
  readonly #budget = new LogBudget(performance.now());

  constructor(node: Pick<Node, 'error'>) {
    this.#node = node;
  }

  /** Reports with `node.error(err, msg)`, so that a Catch node gets it; or counts it. */
  report(error: OtaError, msg: Partial<Message>): void {
    if (this.#timer !== null) {
      this.#leftOut += 1;
      this.#last = { error, msg };
      return;
    }
    this.#emit(error, msg);
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#flush();
  }

  #emit(error: OtaError, msg: Partial<Message>): void {
    this.#node.error(error, msg);
    this.#arm();
  }

  #arm(): void {
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#flush()) this.#arm();
    }, this.#budget.pause(performance.now()));
    this.#timer.unref();
  }

  /** Tells the last error that was left out, with the count of them all. */
  #flush(): boolean {
    const last = this.#last;
    if (last === null) return false;
    const more = this.#leftOut - 1;
    this.#last = null;
    this.#leftOut = 0;
    const text =
      more === 0 ? last.error.message : `${last.error.message} (and ${more} more like it left out)`;
    this.#node.error(new OtaError(last.error.code, text), last.msg);
    return true;
  }
}
