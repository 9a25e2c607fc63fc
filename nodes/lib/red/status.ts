/**
 * The status under a node. Owns its rules: ring while something goes on, dot when settled; a failure stays
 * until the next success; at most four changes a second, the last one always shown.
 */
import type { Node, NodeStatus } from 'node-red';

const MIN_INTERVAL_MS = 250;

/** A text from outside, as a status may show it: printable, under 20 characters. */
export function shownText(text: string): string {
  const points = Array.from(text.slice(0, 64).replace(/[\p{Cc}\p{Cs}]/gu, '?'));
  return points.length < 20 ? points.join('') : points.slice(0, 18).join('') + '…';
}

export class Status {
  readonly #node: Node;
  #failed = false;
  /** The failure is one message's: work that goes on covers it. */
  #passing = false;
  #shown = '';
  #pending: NodeStatus | null = null;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(node: Node) {
    this.#node = node;
  }

  /** Nothing to do: waiting (ring) or ready (dot). Doesn't cover a failure. */
  idle(text: string, shape: 'ring' | 'dot' = 'ring'): void {
    if (!this.#failed) this.#set({ fill: shape === 'dot' ? 'green' : 'grey', shape, text });
  }

  /** Work is going on, e.g. `37 %`. Doesn't cover a failure, but for that of a refused message. */
  going(text: string): void {
    if (this.#passing) this.recovered();
    if (!this.#failed) this.#set({ fill: 'blue', shape: 'ring', text });
  }

  /** Something ended well: clears a failure. */
  success(text: string): void {
    this.recovered();
    this.#set({ fill: 'green', shape: 'dot', text });
  }

  /** A failure: stays until the next success. */
  failure(text: string): void {
    this.#failed = true;
    this.#passing = false;
    this.#set({ fill: 'red', shape: 'dot', text });
  }

  /** A message was refused: stays until the next one that the node can work on. */
  refused(text: string): void {
    this.failure(text);
    this.#passing = true;
  }

  /** Takes a failure back, e.g. when the connection is there again. */
  recovered(): void {
    this.#failed = false;
    this.#passing = false;
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#node.status({});
  }

  #set(status: NodeStatus): void {
    if (this.#closed) return;
    this.#pending = status;
    if (this.#timer === null) this.#flush();
  }

  #flush(): void {
    this.#timer = null;
    const status = this.#pending;
    this.#pending = null;
    if (status === null) return;
    const key = JSON.stringify(status);
    if (key === this.#shown) return;
    this.#shown = key;
    this.#node.status(status);
    this.#timer = setTimeout(() => this.#flush(), MIN_INTERVAL_MS);
    this.#timer.unref();
  }
}
