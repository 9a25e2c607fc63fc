import assert from 'node:assert/strict';
import fc from 'fast-check';
import { PacketIds } from '../../nodes/lib/link/packet-ids';

describe('packet ids', () => {
  it('are never given to a packet while another is under way or was taken back with them', () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.constant('send' as const) },
      fc.constantFrom('acknowledge' as const, 'withdraw' as const, 'late' as const),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(step, fc.nat()), { maxLength: 400 }), (steps) => {
        const ids = new PacketIds();
        const underWay: number[] = [];
        const withdrawn: number[] = [];
        const take = (from: number[], at: number): number | undefined => from.splice(at % from.length, 1)[0];
        for (const [what, at] of steps) {
          if (what === 'send') {
            const id = ids.allocate();
            assert.ok(id !== null && !underWay.includes(id) && !withdrawn.includes(id), `${id} is taken`);
            assert.equal(ids.getLastAllocated(), id);
            underWay.push(id);
          } else if (what === 'late') {
            if (withdrawn.length > 0) assert.ok(ids.acknowledged(take(withdrawn, at) as number));
          } else if (underWay.length > 0) {
            const id = take(underWay, at) as number;
            if (what === 'withdraw') {
              ids.withdraw(id);
              withdrawn.push(id);
            }
            // mqtt.js does this for a packet that was acknowledged and for one that was removed.
            ids.deallocate(id);
          }
          assert.equal(ids.withdrawn, withdrawn.length);
        }
      }),
    );
  });

  it('are all there again after a late acknowledgement of each', () => {
    const ids = new PacketIds();
    for (let round = 0; round < 2; round += 1) {
      const given = new Set<number>();
      for (let i = 0; i < 65_535; i += 1) given.add(ids.allocate() ?? 0);
      assert.equal(given.size, 65_535);
      assert.ok(!given.has(0));
      assert.equal(ids.allocate(), null);
      for (const id of given) {
        ids.withdraw(id);
        ids.deallocate(id);
      }
      assert.equal(ids.allocate(), null);
      for (const id of given) assert.ok(ids.acknowledged(id));
      assert.equal(ids.acknowledged(1), false);
    }
  });
});
