/** The bytes of what the outbox writes itself, read by the parser that brokers use. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parser as mqttParser, type IPublishPacket } from 'mqtt-packet';
import { encodePublishes, type Publish, publishSize } from '../../nodes/lib/link/publish-packet';

function parse(bytes: Buffer, mqtt5: boolean): IPublishPacket[] {
  const packets: IPublishPacket[] = [];
  const parser = mqttParser({ protocolVersion: mqtt5 ? 5 : 4 });
  parser.on('packet', (packet) => packets.push(packet as IPublishPacket));
  parser.on('error', (error: Error) => assert.fail(error));
  assert.equal(parser.parse(bytes), 0, 'bytes are left over');
  return packets;
}

function check(packets: readonly Publish[], mqtt5: boolean): void {
  const bytes = encodePublishes(packets, mqtt5);
  const size = packets.reduce((sum, packet) => sum + publishSize(packet, mqtt5), 0);
  assert.equal(bytes.length, size);
  const read = parse(bytes, mqtt5).map((packet) => {
    assert.deepEqual(
      { cmd: packet.cmd, qos: packet.qos, retain: packet.retain, dup: packet.dup },
      { cmd: 'publish', qos: 1, retain: false, dup: false },
    );
    const expiry = packet.properties?.messageExpiryInterval ?? 0;
    return { id: packet.messageId, topic: packet.topic, payload: packet.payload.toString(), expiry };
  });
  assert.deepEqual(
    read,
    packets.map((packet) => (mqtt5 ? packet : { ...packet, expiry: 0 })),
  );
}

describe('a PUBLISH as it goes over the wire', () => {
  it('is what was handed in, alone and behind others, in MQTT 3.1.1 and 5', () => {
    const parts = {
      id: fc.integer({ min: 1, max: 65_535 }),
      topic: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
      payload: fc.string({ unit: 'grapheme', maxLength: 200 }),
      expiry: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 2 ** 32 - 1 })),
    };
    const packet = fc.record(parts, { noNullPrototype: true });
    fc.assert(fc.property(fc.array(packet, { minLength: 1, maxLength: 8 }), fc.boolean(), check));
  });

  for (const mqtt5 of [false, true]) {
    it(`is so at every length of the length, in MQTT ${mqtt5 ? '5' : '3.1.1'}`, () => {
      for (const limit of [2 ** 7, 2 ** 14, 2 ** 21]) {
        for (let around = -10; around <= 2; around += 1) {
          check([{ id: 65_535, topic: 'ü', payload: 'x'.repeat(limit + around), expiry: 0 }], mqtt5);
        }
      }
    });
  }

  it('takes a topic as long as MQTT allows', () => {
    check([{ id: 256, topic: 't'.repeat(65_535), payload: '', expiry: 7 }], true);
  });
});
