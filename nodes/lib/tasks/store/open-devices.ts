/**
 * The devices that report now, as the store wrote them last: a report then costs no query. Holds nothing that
 * isn't in the database; whoever writes a device puts it here too, and whatever else changes devices clears it.
 */
import { isOpen } from '../machine';
import type { Device } from '../types';

/** Tokens at most: devices that are pushed together report together, so a part of them will do. */
const LIMIT = 20_000;

export class OpenDevices {
  readonly #byToken = new Map<string, readonly Device[]>();

  get(token: string): readonly Device[] | undefined {
    return this.#byToken.get(token);
  }

  /** All open devices of a token, as they were read. */
  set(token: string, devices: readonly Device[]): void {
    if (this.#byToken.size >= LIMIT) this.#byToken.clear();
    this.#byToken.set(token, devices);
  }

  /** One device was written. */
  written(device: Device): void {
    const devices = this.#byToken.get(device.accessToken);
    if (devices === undefined) return;
    const others = devices.filter(({ id }) => id !== device.id);
    this.#byToken.set(device.accessToken, isOpen(device) ? [...others, device] : others);
  }

  clear(): void {
    this.#byToken.clear();
  }
}
