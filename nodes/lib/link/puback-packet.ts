/** PUBACK packets as they go over the wire: without a reason code they are the same in MQTT 3.1.1 and 5. */

/** The first byte: PUBACK. */
const HEADER = 0x40;
/** The packet identifier is all that follows. */
const REMAINING = 2;
const SIZE = 4;

/** The packets, one behind the other. @param ids packet identifiers, 1 to 65,535 */
export function encodePubacks(ids: readonly number[]): Buffer {
  const buffer = Buffer.allocUnsafe(SIZE * ids.length);
  let at = 0;
  for (const id of ids) {
    buffer[at] = HEADER;
    buffer[at + 1] = REMAINING;
    buffer[at + 2] = id >>> 8;
    buffer[at + 3] = id & 255;
    at += SIZE;
  }
  return buffer;
}
