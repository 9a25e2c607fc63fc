/**
 * PUBLISH packets as they go over the wire: QoS 1, not retained, never a repeat, without properties. Several
 * are one buffer, because a write is what costs most: mqtt.js writes each packet in seven pieces.
 */

export interface Publish {
  /** The packet identifier, 1 to 65,535. */
  readonly id: number;
  /** At most 65,535 bytes. */
  readonly topic: string;
  readonly payload: string;
}

/** The first byte: PUBLISH, QoS 1. */
const HEADER = 0x32;
/** Bytes of the longest packet that MQTT knows. */
export const PACKET_LIMIT = 1 + 4 + 268_435_455;

/** The bytes of a packet on the wire. */
export function publishSize(topic: string, payload: string, mqtt5: boolean): number {
  const remaining = remainingLength(Buffer.byteLength(topic), Buffer.byteLength(payload), mqtt5);
  return 1 + lengthBytes(remaining) + remaining;
}

/** The packets, one behind the other. */
export function encodePublishes(packets: readonly Publish[], mqtt5: boolean): Buffer {
  let size = 0;
  for (const { topic, payload } of packets) size += publishSize(topic, payload, mqtt5);
  const buffer = Buffer.allocUnsafe(size);
  let at = 0;
  for (const packet of packets) at = encode(buffer, at, packet, mqtt5);
  return buffer;
}

/** Returns where the next packet begins. */
function encode(buffer: Buffer, start: number, { id, topic, payload }: Publish, mqtt5: boolean): number {
  const topicLength = Buffer.byteLength(topic);
  let at = start;
  buffer[at++] = HEADER;
  let length = remainingLength(topicLength, Buffer.byteLength(payload), mqtt5);
  for (; length > 127; length >>>= 7) buffer[at++] = (length & 127) | 128;
  buffer[at++] = length;
  buffer[at++] = topicLength >>> 8;
  buffer[at++] = topicLength & 255;
  at += buffer.write(topic, at);
  buffer[at++] = id >>> 8;
  buffer[at++] = id & 255;
  // The length of the properties: there are none.
  if (mqtt5) buffer[at++] = 0;
  return at + buffer.write(payload, at);
}

function remainingLength(topicLength: number, payloadLength: number, mqtt5: boolean): number {
  return 2 + topicLength + 2 + (mqtt5 ? 1 : 0) + payloadLength;
}

/** Seven bits a byte. */
function lengthBytes(remaining: number): number {
  return remaining < 2 ** 7 ? 1 : remaining < 2 ** 14 ? 2 : remaining < 2 ** 21 ? 3 : 4;
}
