/** A task's policy: the editor refuses what the runtime refuses, and its form begins with the runtime's defaults. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { defaultInForm, POLICY, type Policy, type ReasonKey, settingReason } from '../../nodes/lib/rules';
import { DEFAULT_POLICY, POLICY_FIELDS, readPolicy } from '../../nodes/lib/tasks/policy';

/** Whether the runtime takes a setting of the node. */
function takes(setting: keyof Policy, value: string): boolean {
  try {
    readPolicy({ [setting]: value });
    return true;
  } catch {
    return false;
  }
}

/** Texts of pieces that are near to right ones. */
const textOf = (...pieces: readonly string[]): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 8 }).map((parts) => parts.join(''));

/** Why the editor refuses a setting of the node; null where it takes it. */
const reason = (setting: keyof Policy, value: unknown): ReasonKey | null =>
  settingReason(POLICY[setting], value)?.key ?? null;

describe("the editor's rules of a policy", () => {
  const NUMBERS = textOf('0', '1', '.5', '-', '1e9', '1000001', ' ', 'x');
  const RULES: readonly (readonly [keyof Policy, fc.Arbitrary<string>])[] = [
    ['waves', textOf('1', '10', '50', '100', '101', ',', ', ', '[', ']', '"', 'x', '-', '1e1')],
    ['fromVersions', textOf('v1', '1.0', ',', ' ', '[', ']', '"v1"', '""', '1', 'null')],
    ['retryOn', textOf('stalled', 'offline', 'hurry', ',', ' ', '[', ']', '"stalled"')],
    [
      'window',
      textOf(
        ...['01:00', '24:00', '5:00', '05:00', '-', ' - ', ' Europe/Berlin', ' Nowhere', ' UTC', 'null'],
        ...[' mon', ',tue', ' moon'],
      ),
    ],
    ['success', textOf('progress', 'version', ' ', 'x')],
    ['skipCurrent', textOf('true', 'false', 'TRUE', '1', '0', ' ', 'yes')],
    ...(['noResponse', 'retries', 'perMinute', 'maxWaiting', 'soak'] as const).map(
      (name) => [name, NUMBERS] as const,
    ),
  ];

  for (const [setting, text] of RULES) {
    it(`take the same ${setting} as the runtime`, () => {
      fc.assert(
        fc.property(text, (value) => assert.equal(reason(setting, value) === null, takes(setting, value))),
        { numRuns: 2000 },
      );
    });
  }

  it('take what the help and the placeholders show', () => {
    const shown = [
      ...['01:00-05:00', '01:00-05:00 Asia/Shanghai', '{"from":"22:00","to":"05:00"}', 'null'],
      ...[
        '01:00-05:00 mon,tue',
        '01:00-05:00 Europe/Berlin sat,sun',
        '{"from":"22:00","to":"05:00","days":["mon"]}',
      ],
    ];
    for (const window of shown) assert.equal(reason('window', window), null, window);
    for (const waves of ['100', '1, 10, 50, 100', '[1,10,50,100]'])
      assert.equal(reason('waves', waves), null, waves);
    assert.equal(reason('fromVersions', '1.0, 1.1'), null);
    assert.equal(reason('retryOn', 'stalled, no-response'), null);
  });

  it('see what is wrong with a window beyond its form', () => {
    for (const [window, key] of [
      ['05:00-05:00', 'windowEmpty'],
      ['01:00-05:00 Nowhere/Else', 'timeZone'],
      ['01:00-25:00', 'time'],
      ['{"from":"01:00","to":"05:00","days":1}', 'days'],
      ['{"from":"01:00","to":"05:00","days":["moon"]}', 'days'],
      ['{"from":"01:00","to":"05:00","hours":1}', 'unknownField'],
      ['1', 'windowForm'],
    ] as const) {
      assert.equal(reason('window', window), key, window);
      assert.equal(takes('window', window), false, window);
    }
  });

  it('take a whole variable for anything', () => {
    const variable = '${' + 'OTA_VALUE}';
    for (const name of POLICY_FIELDS) assert.equal(reason(name, variable), null, name);
  });
});

describe("the form's defaults of a policy", () => {
  for (const name of POLICY_FIELDS) {
    it(`mean for ${name} what an absent field means`, () => {
      const shown = defaultInForm(POLICY[name].byDefault);
      assert.equal(reason(name, shown), null);
      assert.deepEqual(readPolicy({ [name]: shown }), DEFAULT_POLICY);
    });
  }
});
