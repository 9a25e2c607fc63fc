/**
 * Packet ids, for mqtt.js and for what the outbox writes itself. They go round: one that became free is given
 * again as late as can be. The id of a packet that was taken back isn't used again on the connection before its
 * late PUBACK came, because that would answer for another.
 */
import type { IClientOptions } from 'mqtt';

type IMessageIdProvider = NonNullable<IClientOptions['messageIdProvider']>;

const IDS = 65_535;

export class PacketIds implements IMessageIdProvider {
  /** By id; 1 where it is taken. 0 is no id. */
  readonly #taken = new Uint8Array(IDS + 1);
  readonly #withdrawn = new Set<number>();
  #free = IDS;
  #last = 0;

  /** Packets that were taken back and may still be acknowledged: each still takes a place in the window. */
  get withdrawn(): number {
    return this.#withdrawn.size;
  }

  get free(): number {
    return this.#free;
  }

  withdraw(id: number): void {
    this.#withdrawn.add(id);
  }

  /** The late acknowledgement came: the id is free. True where it was a withdrawn one. */
  acknowledged(id: number): boolean {
    if (!this.#withdrawn.delete(id)) return false;
    this.#release(id);
    return true;
  }

  /** An id that is free, or null where none is. */
  allocate(): number | null {
    if (this.#free === 0) return null;
    let id = this.#last;
    do id = id === IDS ? 1 : id + 1;
    while (this.#taken[id] === 1);
    this.register(id);
    return id;
  }

  getLastAllocated(): number | null {
    return this.#last === 0 ? null : this.#last;
  }

  /** Takes a certain id. False where it isn't free. */
  register(id: number): boolean {
    if (id < 1 || id > IDS || this.#taken[id] === 1) return false;
    this.#taken[id] = 1;
    this.#free -= 1;
    this.#last = id;
    return true;
  }

  deallocate(id: number): void {
    if (!this.#withdrawn.has(id)) this.#release(id);
  }

  clear(): void {
    this.#withdrawn.clear();
    this.#taken.fill(0);
    this.#free = IDS;
  }

  #release(id: number): void {
    if (this.#taken[id] !== 1) return;
    this.#taken[id] = 0;
    this.#free += 1;
  }
}
