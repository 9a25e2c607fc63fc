/**
 * Takes the body of a huge PUBLISH out of what comes from the broker, before mqtt.js would gather it in memory: with
 * MQTT 3.1.1 no client can tell the broker how much it takes, and a kept session would bring such a message again at
 * each start. What is left in its place is a body that no reader takes, so that it is refused, told and acknowledged
 * like any other. Owns nothing but the bytes of one connection; never holds more than the head of a packet.
 */
import type { Duplex } from 'node:stream';
import { MAX_BODY_BYTES } from '../protocol';

const PUBLISH = 3;
/** In place of what was left out: larger than what is read. */
const FILLER = Buffer.alloc(MAX_BODY_BYTES + 1);
/** The first byte, and the remaining length in at most four. */
const MAX_FIXED_HEADER = 5;
const NOTHING = Buffer.alloc(0);

interface FixedHeader {
  /** Bytes of the fixed header. */
  readonly size: number;
  /** Bytes of the packet behind it. */
  readonly remaining: number;
}

export class OversizeFilter {
  readonly #limit: number;
  readonly #mqtt5: boolean;
  /** The begin of a packet whose head hasn't come whole. */
  #head = NOTHING;
  /** Bytes of the packet under way that are still to come: let through, or left out. */
  #passing = 0;
  #skipping = 0;

  /** @param limit bytes of a packet, its fixed header not counted */
  constructor(limit: number, mqtt5: boolean) {
    this.#limit = limit;
    this.#mqtt5 = mqtt5;
  }

  /** What is to be read of the next bytes: the very same buffer where nothing is left out of it. */
  take(chunk: Buffer): Buffer {
    const bytes = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
    this.#head = NOTHING;
    const kept: Buffer[] = [];
    let from = 0;
    let at = 0;
    while (at < bytes.length) {
      const left = bytes.length - at;
      if (this.#passing > 0) {
        const n = Math.min(left, this.#passing);
        this.#passing -= n;
        at += n;
        continue;
      }
      if (this.#skipping > 0) {
        const n = Math.min(left, this.#skipping);
        this.#skipping -= n;
        at += n;
        from = at;
        continue;
      }
      const header = readFixedHeader(bytes, at);
      const isHuge = header !== null && header.remaining > this.#limit && (bytes[at] ?? 0) >> 4 === PUBLISH;
      if (header !== null && !isHuge) {
        this.#passing = header.size + header.remaining;
        continue;
      }
      const head = header === null ? null : publishHead(bytes, at, header);
      if (at > from) kept.push(bytes.subarray(from, at));
      if (header === null || head === null) {
        this.#head = Buffer.from(bytes.subarray(at));
        return join(kept);
      }
      kept.push(this.#instead(head));
      this.#skipping = header.remaining - (head.length - header.size);
      at += head.length;
      from = at;
    }
    if (from === 0) return bytes;
    if (at > from) kept.push(bytes.subarray(from, at));
    return join(kept);
  }

  /** The same PUBLISH with the filler as its body. @param head up to its packet id */
  #instead(head: Buffer): Buffer {
    const variable = head.subarray(1 + lengthBytes(head, 1));
    const properties = this.#mqtt5 ? Buffer.alloc(1) : NOTHING;
    const remaining = variable.length + properties.length + FILLER.length;
    return Buffer.concat([head.subarray(0, 1), encodeLength(remaining), variable, properties, FILLER]);
  }
}

/**
 * Filters what a stream reads from now on. A stream's `push` is where bytes come into it, whatever brings them: TCP,
 * TLS or a WebSocket.
 */
export function filterOversize(stream: Duplex, filter: OversizeFilter): void {
  const push = stream.push.bind(stream);
  stream.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (!Buffer.isBuffer(chunk)) return push(chunk, encoding);
    const kept = filter.take(chunk);
    return kept.length === 0 ? true : push(kept);
  };
}

/** Null where it isn't there whole. What no broker sends is left to the parser: a packet without a rest. */
function readFixedHeader(bytes: Buffer, at: number): FixedHeader | null {
  let remaining = 0;
  for (let i = 1; i < MAX_FIXED_HEADER; i += 1) {
    const byte = bytes[at + i];
    if (byte === undefined) return null;
    remaining += (byte & 127) * 2 ** (7 * (i - 1));
    if (byte < 128) return { size: i + 1, remaining };
  }
  return { size: MAX_FIXED_HEADER, remaining: 0 };
}

/** The packet up to its id; null where that isn't there whole. */
function publishHead(bytes: Buffer, at: number, { size }: FixedHeader): Buffer | null {
  const start = at + size;
  if (start + 2 > bytes.length) return null;
  const hasId = ((bytes[at] ?? 0) & 0b110) !== 0;
  const end = start + 2 + bytes.readUInt16BE(start) + (hasId ? 2 : 0);
  return end > bytes.length ? null : bytes.subarray(at, end);
}

function lengthBytes(bytes: Buffer, at: number): number {
  let n = 1;
  while ((bytes[at + n - 1] ?? 0) > 127) n += 1;
  return n;
}

function encodeLength(length: number): Buffer {
  const bytes: number[] = [];
  let left = length;
  for (; left > 127; left >>>= 7) bytes.push((left & 127) | 128);
  bytes.push(left);
  return Buffer.from(bytes);
}

function join(parts: readonly Buffer[]): Buffer {
  return parts.length === 1 ? (parts[0] ?? NOTHING) : Buffer.concat(parts);
}
