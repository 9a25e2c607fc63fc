/** The animated picture of a rollout: what the script makes of screenshots. */
import assert from 'node:assert/strict';
import { deflateSync } from 'node:zlib';
import { animated } from '../../scripts/pictures/apng';

const END = Buffer.from('0000000049454e44ae426082', 'hex');

/** A picture of one pixel; nobody looks at its check sums here. */
function pixel(grey: number, width = 1): Buffer {
  const chunk = (type: string, data: Buffer): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(data.length);
    return Buffer.concat([length, Buffer.from(type, 'latin1'), data, Buffer.alloc(4)]);
  };
  const header = Buffer.from([0, 0, 0, width, 0, 0, 0, 1, 8, 0, 0, 0, 0]);
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.from([0, grey]))),
    END,
  ]);
}

describe('the animated picture', () => {
  it('shows each screenshot, numbered, and ends as a PNG does', () => {
    const made = animated([pixel(0), pixel(128), pixel(255)], 500);
    const text = made.toString('latin1');
    const order = [...text.matchAll(/IHDR|acTL|fcTL|IDAT|fdAT|IEND/g)].map(([type]) => type);
    assert.deepEqual(order, ['IHDR', 'acTL', 'fcTL', 'IDAT', 'fcTL', 'fdAT', 'fcTL', 'fdAT', 'IEND']);
    assert.equal(made.readUInt32BE(text.indexOf('acTL') + 4), 3);
    const numbers = [...text.matchAll(/fcTL|fdAT/g)].map(({ index }) => made.readUInt32BE(index + 4));
    assert.deepEqual(numbers, [0, 1, 2, 3, 4]);
    assert.ok(made.subarray(-12).equals(END), 'with the check sum that the end always has');
  });

  it('refuses a picture of another size', () => {
    assert.throws(() => animated([pixel(0), pixel(0, 2)], 500), /Picture 2/);
  });
});
