/** Huge packets lose their bodies before they are gathered in memory; everything else comes through as it was sent. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import mqttPacket from 'mqtt-packet';
import { OversizeFilter } from '../../nodes/lib/link/oversize-filter';
import { MAX_BODY_BYTES } from '../../nodes/lib/protocol';

const LIMIT = 2000;

interface Sent {
  readonly topic: string;
  readonly qos: 0 | 1;
  readonly size: number;
}

function encode({ topic, qos, size }: Sent, index: number, mqtt5: boolean): Buffer {
  const packet = {
    cmd: 'publish',
    topic,
    qos,
    payload: Buffer.alloc(size, index + 1),
    dup: false,
    retain: false,
    messageId: index + 1,
  } as const;
  return mqttPacket.generate(packet, { protocolVersion: mqtt5 ? 5 : 4 });
}

/** Sends the packets in pieces of a size: what a parser reads behind the filter. */
function through(all: readonly Sent[], piece: number, mqtt5: boolean): mqttPacket.IPublishPacket[] {
  const bytes = Buffer.concat(all.map((sent, i) => encode(sent, i, mqtt5)));
  const filter = new OversizeFilter(LIMIT, mqtt5);
  const parser = mqttPacket.parser({ protocolVersion: mqtt5 ? 5 : 4 });
  const read: mqttPacket.IPublishPacket[] = [];
  parser.on('packet', (packet: mqttPacket.Packet) => read.push(packet as mqttPacket.IPublishPacket));
  for (let at = 0; at < bytes.length; at += piece) {
    const kept = filter.take(bytes.subarray(at, at + piece));
    if (kept.length > 0) parser.parse(kept);
  }
  return read;
}

const sizes = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: LIMIT - 20, max: LIMIT + 20 }),
  fc.constant(3 * LIMIT),
);
const packets = fc.array(
  fc.record({
    topic: fc.stringMatching(/^[a-z/]{1,40}$/),
    qos: fc.constantFrom(0 as const, 1 as const),
    size: sizes,
  }),
  { minLength: 1, maxLength: 6 },
);

describe('what a broker sends', () => {
  for (const mqtt5 of [false, true]) {
    it(`comes through but for the bodies that are too large, in whatever pieces (MQTT ${mqtt5 ? 5 : '3.1.1'})`, () => {
      fc.assert(
        fc.property(packets, fc.integer({ min: 1, max: 9000 }), (all, piece) => {
          const read = through(all, Math.max(piece, 7), mqtt5);
          assert.equal(read.length, all.length);
          read.forEach((packet, i) => {
            const { topic, qos, size } = all[i]!;
            const overhead = 2 + topic.length + (qos === 1 ? 2 : 0) + (mqtt5 ? 1 : 0);
            const isHuge = size + overhead > LIMIT;
            assert.equal(packet.topic, topic);
            assert.equal(packet.qos, qos);
            if (qos === 1) assert.equal(packet.messageId, i + 1);
            assert.equal(packet.payload.length, isHuge ? MAX_BODY_BYTES + 1 : size);
            if (!isHuge && size > 0) assert.equal(packet.payload[size - 1], i + 1);
          });
        }),
        { numRuns: 60 },
      );
    });
  }

  it('is the very same buffer where nothing is left out', () => {
    const bytes = Buffer.concat([
      encode({ topic: 'a', qos: 1, size: 10 }, 0, false),
      encode({ topic: 'b', qos: 1, size: 20 }, 1, false),
    ]);
    assert.equal(new OversizeFilter(LIMIT, false).take(bytes), bytes);
  });

  it('that is no packet is left to the parser', () => {
    const rubbish = Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n\xff\xff\xff\xff\xff\xff', 'latin1');
    const filter = new OversizeFilter(LIMIT, false);
    const out = [...rubbish].map((byte) => filter.take(Buffer.from([byte])));
    assert.ok(Buffer.concat(out).length <= rubbish.length);
  });
});
