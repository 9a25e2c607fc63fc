/**
 * The devices that report now, as the store wrote them last: a report then costs no query. Holds nothing that
 * isn't in the database; whoever writes a device puts it here too, and whatever else changes devices clears it.
 */
import { isOpen, type Member } from '../../machine';

/** Tokens at most: devices that are pushed together report together, so a part of them will do. */
const LIMIT = 20_000;

export class OpenDevices {
  readonly #byToken = new Map<string, readonly Member[]>();

  get(token: string): readonly Member[] | undefined {
    return this.#byToken.get(token);
  }

  /** All open devices of a token that reports, as they were read. Whoever was put here first makes room. */
  set(token: string, members: readonly Member[]): void {
    if (this.#byToken.size >= LIMIT) {
      const { value: first, done } = this.#byToken.keys().next();
      if (done !== true) this.#byToken.delete(first);
    }
    this.#byToken.set(token, members);
  }

  /** The same of a token that is pushed to now, where there is room: those that were pushed before report first. */
  expect(token: string, members: readonly Member[]): void {
    if (this.#byToken.size < LIMIT) this.#byToken.set(token, members);
  }

  /** One device was written. */
  written(member: Member): void {
    const { device } = member;
    const members = this.#byToken.get(device.accessToken);
    if (members === undefined) return;
    const others = members.filter((other) => other.device.id !== device.id);
    this.#byToken.set(device.accessToken, isOpen(device) ? [...others, member] : others);
  }

  /** A device whose rows are read anew. */
  forget(token: string): void {
    this.#byToken.delete(token);
  }

  clear(): void {
    this.#byToken.clear();
  }
}
