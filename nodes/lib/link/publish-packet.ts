/**
 * PUBLISH packets as they go over the wire: QoS 1, not retained, never a repeat, with no property but a message
 * expiry. Several are one buffer, because a write is what costs most: mqtt.js writes each packet in seven pieces.
 */

export interface Publish {
  /** The packet identifier, 1 to 65,535. */
  readonly id: number;
  /** At most 65,535 bytes. */
  readonly topic: string;
  readonly payload: string;
  /** Seconds after which the broker no longer delivers it (MQTT 5); 0 for no limit. */
  readonly expiry: number;
}

/** The first byte: PUBLISH, QoS 1. */
const HEADER = 0x32;
/** Bytes of the longest packet that MQTT knows. */
export const PACKET_LIMIT = 1 + 4 + 268_435_455;
/** The property "message expiry interval": four bytes follow. */
const EXPIRY = 0x02;
const EXPIRY_SIZE = 5;
/** Seconds of the longest expiry. */
export const EXPIRY_LIMIT = 2 ** 32 - 1;

/** The bytes of a packet on the wire. */
export function publishSize({ topic, payload, expiry }: Omit<Publish, 'id'>, mqtt5: boolean): number {
  const properties = propertiesSize(expiry, mqtt5);
  const remaining = remainingLength(Buffer.byteLength(topic), Buffer.byteLength(payload), properties);
  return 1 + lengthBytes(remaining) + remaining;
}

/** The packets, one behind the other. */
export function encodePublishes(packets: readonly Publish[], mqtt5: boolean): Buffer {
  let size = 0;
  for (const packet of packets) size += publishSize(packet, mqtt5);
  const buffer = Buffer.allocUnsafe(size);
  let at = 0;
  for (const packet of packets) at = encode(buffer, at, packet, mqtt5);
  return buffer;
}

/** Returns where the next packet begins. */
function encode(buffer: Buffer, start: number, packet: Publish, mqtt5: boolean): number {
  const { id, topic, payload, expiry } = packet;
  const properties = propertiesSize(expiry, mqtt5);
  const topicLength = Buffer.byteLength(topic);
  let at = start;
  buffer[at++] = HEADER;
  let length = remainingLength(topicLength, Buffer.byteLength(payload), properties);
  for (; length > 127; length >>>= 7) buffer[at++] = (length & 127) | 128;
  buffer[at++] = length;
  buffer[at++] = topicLength >>> 8;
  buffer[at++] = topicLength & 255;
  at += buffer.write(topic, at);
  buffer[at++] = id >>> 8;
  buffer[at++] = id & 255;
  // The length of the properties, then each.
  if (properties > 0) buffer[at++] = properties - 1;
  if (properties > 1) {
    buffer[at++] = EXPIRY;
    at = buffer.writeUInt32BE(expiry, at);
  }
  return at + buffer.write(payload, at);
}

function remainingLength(topicLength: number, payloadLength: number, properties: number): number {
  return 2 + topicLength + 2 + properties + payloadLength;
}

/** Bytes of the properties with their length; MQTT 3.1.1 has none. */
function propertiesSize(expiry: number, mqtt5: boolean): number {
  if (!mqtt5) return 0;
  return expiry > 0 ? 1 + EXPIRY_SIZE : 1;
}

/** Seven bits a byte. */
function lengthBytes(remaining: number): number {
  return remaining < 2 ** 7 ? 1 : remaining < 2 ** 14 ? 2 : remaining < 2 ** 21 ? 3 : 4;
}
