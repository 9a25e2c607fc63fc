/** What the editor refuses of a task's policy and what the runtime refuses are the same. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { versionsReason, wavesReason, windowReason } from '../../nodes/lib/red/editor/policy-rules';
import { readPolicy } from '../../nodes/lib/tasks/policy';

/** Whether the runtime takes a setting of the node. */
function takes(setting: string, value: string): boolean {
  try {
    readPolicy({ [setting]: value });
    return true;
  } catch {
    return false;
  }
}

/** Texts of pieces that are near to right ones; a blank setting is another matter. */
const textOf = (...pieces: readonly string[]): fc.Arbitrary<string> =>
  fc
    .array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 8 })
    .map((parts) => parts.join(''))
    .filter((text) => text.trim() !== '');

describe("the editor's rules of a policy", () => {
  const RULES = [
    ['waves', wavesReason, textOf('1', '10', '50', '100', '101', ',', ', ', '[', ']', '"', 'x', '-', '1e1')],
    ['fromVersions', versionsReason, textOf('v1', '1.0', ',', ' ', '[', ']', '"v1"', '""', '1', 'null')],
    [
      'window',
      windowReason,
      textOf('01:00', '24:00', '5:00', '05:00', '-', ' - ', ' Europe/Berlin', ' Nowhere', ' UTC', 'null'),
    ],
  ] as const;

  for (const [setting, reason, text] of RULES) {
    it(`take the same ${setting} as the runtime`, () => {
      fc.assert(
        fc.property(text, (value) => assert.equal(reason(value) === null, takes(setting, value))),
        { numRuns: 3000 },
      );
    });
  }

  it('take what the help and the placeholders show', () => {
    const shown = ['01:00-05:00', '01:00-05:00 Asia/Shanghai', '{"from":"22:00","to":"05:00"}', 'null'];
    for (const window of shown) assert.equal(windowReason(window), null, window);
    for (const waves of ['100', '1, 10, 50, 100', '[1,10,50,100]'])
      assert.equal(wavesReason(waves), null, waves);
    assert.equal(versionsReason('1.0, 1.1'), null);
  });

  it('see what is wrong with a window beyond its form', () => {
    for (const window of [
      '05:00-05:00',
      '01:00-05:00 Nowhere/Else',
      '{"from":"01:00","to":"05:00","days":1}',
      '1',
    ]) {
      assert.deepEqual(windowReason(window), { key: 'window' }, window);
      assert.equal(takes('window', window), false, window);
    }
  });

  it('take a whole variable for anything', () => {
    const variable = '${' + 'OTA_VALUE}';
    for (const reason of [wavesReason, windowReason, versionsReason]) assert.equal(reason(variable), null);
  });
});
