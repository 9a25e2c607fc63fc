/**
 * Packet ids for mqtt.js. Owns one rule that its own provider lacks: the id of a packet that was taken back
 * isn't used again on the connection, because its late PUBACK would answer for another.
 */
import { type IClientOptions, UniqueMessageIdProvider } from 'mqtt';

type IMessageIdProvider = NonNullable<IClientOptions['messageIdProvider']>;

export class PacketIds implements IMessageIdProvider {
  readonly #ids = new UniqueMessageIdProvider();
  readonly #withdrawn = new Set<number>();
  #last = 0;

  /** The id of the packet that was sent last. */
  get last(): number {
    return this.#last;
  }

  /** Packets that were taken back and may still be acknowledged: each still takes a place in the window. */
  get withdrawn(): number {
    return this.#withdrawn.size;
  }

  withdraw(id: number): void {
    this.#withdrawn.add(id);
  }

  /** The late acknowledgement came: the id is free. True where it was a withdrawn one. */
  acknowledged(id: number): boolean {
    if (!this.#withdrawn.delete(id)) return false;
    this.#ids.deallocate(id);
    return true;
  }

  allocate(): number | null {
    const id = this.#ids.allocate() as number | null;
    if (id !== null) this.#last = id;
    return id;
  }

  getLastAllocated(): number | null {
    return this.#last;
  }

  register(id: number): boolean {
    return this.#ids.register(id);
  }

  deallocate(id: number): void {
    if (!this.#withdrawn.has(id)) this.#ids.deallocate(id);
  }

  clear(): void {
    this.#withdrawn.clear();
    this.#ids.clear();
  }
}
