/**
 * Ends downloads whose client takes less than a least rate. Owns how fast each one is; must never end one that was
 * not watched for a whole stretch of time, because a device pauses while it writes its flash.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export interface RateLimits {
  /** Bytes a second, on the average of a stretch. */
  readonly leastRate: number;
  /** Milliseconds of a stretch. */
  readonly stretchMs: number;
  /** The same while another download waits for this one's end. */
  readonly wantedRate: number;
  readonly wantedMs: number;
  /** Milliseconds between two looks. Time is counted in looks: while this process is busy nobody is slow. */
  readonly everyMs: number;
}

interface Reader {
  readonly response: ServerResponse;
  readonly client: string;
  /** Bytes that had been taken when the stretch began, and the looks since then. */
  taken: number;
  looks: number;
}

export class SlowReaders {
  readonly #limits: RateLimits;
  readonly #isWanted: (client: string) => boolean;
  readonly #readers = new Set<Reader>();
  #timer: NodeJS.Timeout | null = null;

  /** @param isWanted true where a download waits for the end of one of this client's */
  constructor(limits: RateLimits, isWanted: (client: string) => boolean) {
    this.#limits = limits;
    this.#isWanted = isWanted;
  }

  /** Watches a response until it is closed. */
  watch(response: ServerResponse, client: string): void {
    const reader = { response, client, taken: takenBy(response.socket), looks: 0 };
    this.#readers.add(reader);
    this.#timer ??= setInterval(() => this.#look(), this.#limits.everyMs).unref();
    response.once('close', () => {
      this.#readers.delete(reader);
      if (this.#readers.size > 0 || this.#timer === null) return;
      clearInterval(this.#timer);
      this.#timer = null;
    });
  }

  #look(): void {
    const { leastRate, stretchMs, wantedRate, wantedMs, everyMs } = this.#limits;
    for (const reader of this.#readers) {
      const wanted = this.#isWanted(reader.client);
      reader.looks += 1;
      const passed = reader.looks * everyMs;
      if (passed < (wanted ? wantedMs : stretchMs)) continue;
      const taken = takenBy(reader.response.socket);
      const rate = ((taken - reader.taken) * 1000) / passed;
      if (rate < (wanted ? wantedRate : leastRate)) reader.response.destroy();
      else Object.assign(reader, { taken, looks: 0 });
    }
  }
}

/** Bytes that the operating system took over for a connection. */
function takenBy(socket: Socket | null): number {
  if (socket === null) return 0;
  // What libuv still holds counts as written for Node.js, and may be half a mebibyte.
  const { _handle: handle } = socket as { _handle?: { writeQueueSize?: number } | null };
  return socket.bytesWritten - socket.writableLength - (handle?.writeQueueSize ?? 0);
}
