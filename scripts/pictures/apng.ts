/**
 * One animated PNG out of screenshots. Every picture keeps its own data as the browser compressed it; only the
 * chunks around it are made here. Knows PNG, not the console.
 */

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const FRAME_CONTROL = 26;

interface Chunk {
  readonly type: string;
  readonly data: Buffer;
}

/**
 * Pictures of one size and colour type, shown for `milliseconds` each (the last one four times as long), for ever.
 * @throws Error where one of them isn't a PNG of the first one's kind
 */
export function animated(pictures: readonly Buffer[], milliseconds: number): Buffer {
  const frames = pictures.map(chunksOf);
  const [header] = frames[0] ?? [];
  if (header === undefined) throw new Error('There is no picture.');
  let sequence = 0;
  const number = (): Buffer => uint32(sequence++);
  const body = frames.flatMap((chunks, i) => {
    if (chunks[0]?.data.equals(header.data) !== true) throw new Error(`Picture ${i + 1} is of another kind.`);
    const control = Buffer.alloc(FRAME_CONTROL);
    number().copy(control, 0);
    // Width and height as in the header; at 0, 0; then the delay in thousandths of a second.
    header.data.copy(control, 4, 0, 8);
    control.writeUInt16BE(i === frames.length - 1 ? 4 * milliseconds : milliseconds, 20);
    control.writeUInt16BE(1000, 22);
    const data = chunks.filter(({ type }) => type === 'IDAT').map(({ data: bytes }) => bytes);
    const parts = data.map((bytes) =>
      i === 0 ? { type: 'IDAT', data: bytes } : { type: 'fdAT', data: Buffer.concat([number(), bytes]) },
    );
    return [{ type: 'fcTL', data: control }, ...parts];
  });
  const loop = { type: 'acTL', data: Buffer.concat([uint32(frames.length), uint32(0)]) };
  const all = [header, loop, ...body, { type: 'IEND', data: Buffer.alloc(0) }];
  return Buffer.concat([SIGNATURE, ...all.map(write)]);
}

/** The chunks of a PNG, the header first. @throws Error */
function chunksOf(picture: Buffer): Chunk[] {
  if (!picture.subarray(0, 8).equals(SIGNATURE)) throw new Error('A picture is no PNG.');
  const chunks: Chunk[] = [];
  for (let at = 8; at < picture.length;) {
    const length = picture.readUInt32BE(at);
    const type = picture.toString('latin1', at + 4, at + 8);
    chunks.push({ type, data: picture.subarray(at + 8, at + 8 + length) });
    at += length + 12;
  }
  return chunks;
}

function write({ type, data }: Chunk): Buffer {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  return Buffer.concat([uint32(data.length), named, uint32(crc32(named))]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** The check sum of a chunk, as PNG defines it. */
function crc32(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return crc ^ 0xffffffff;
}
