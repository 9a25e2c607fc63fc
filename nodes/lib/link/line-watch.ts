/**
 * Notices within seconds that a broker answers nothing any more. The keepalive alone takes a minute and a half, and
 * for so long the limits of devices would run on, whose reports lie in a session that nobody hears.
 */
import type { MqttClient } from 'mqtt';

const LOOK_MS = 1000;
/** So many questions in a row without an answer: a process that stood still asks once only, whatever the time. */
const MAX_UNANSWERED = 4;

export class LineWatch {
  #timer: NodeJS.Timeout | null = null;
  #heard = false;
  #unanswered = 0;

  /**
   * Begins with a connection that has just come up; `heard` is called for each packet of it.
   * @param options `isOff`: it isn't looked at for now, nothing that comes is read, say
   */
  start(client: MqttClient, options: { readonly isOff: () => boolean; readonly onSilent: () => void }): void {
    this.stop();
    this.#timer = setInterval(() => {
      const isOff = options.isOff();
      if (this.#heard || isOff) this.#unanswered = 0;
      else if (this.#unanswered >= MAX_UNANSWERED) {
        options.onSilent();
        return;
      }
      this.#heard = false;
      if (isOff) return;
      this.#unanswered += 1;
      client.sendPing();
    }, LOOK_MS);
  }

  /** Something came since the question before the last one. */
  get isAnswered(): boolean {
    return this.#heard || this.#unanswered <= 1;
  }

  heard(): void {
    this.#heard = true;
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#heard = false;
    this.#unanswered = 0;
  }
}
