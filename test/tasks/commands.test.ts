import assert from 'node:assert/strict';
import { runInNewContext } from 'node:vm';
import { checkTargets, type Command, readCommand } from '../../nodes/lib/tasks/commands';
import { DEFAULT_POLICY } from '../../nodes/lib/tasks/policy';
import type { Policy } from '../../nodes/lib/tasks/types';

const PACKAGE = { version: 'v2', url: 'http://127.0.0.1/f', size: 4, sign: '0'.repeat(32) };
type Create = Extract<Command, { action: 'create' | 'preview' }>;

function create(more: object, pack: object = {}, defaults: Policy = DEFAULT_POLICY): Create['input'] {
  const payload = { action: 'create', package: { ...PACKAGE, ...pack }, targets: ['a'], ...more };
  return (readCommand(payload, defaults) as Create).input;
}

const refuses = (work: () => unknown, field: string): void =>
  assert.throws(work, ({ code, message }: { code: string; message: string }) => {
    assert.deepEqual([code, message.includes(`"${field}"`)], ['OTA_BAD_INPUT', true], message);
    return true;
  });

describe('a command', () => {
  it('starts at a time of ISO 8601', () => {
    const times: readonly [unknown, string][] = [
      ['2026-01-31T02:00:00Z', '2026-01-31T02:00:00.000Z'],
      ['2026-01-31T02:00:00.5+02:00', '2026-01-31T00:00:00.500Z'],
      ['2028-02-29T02:00Z', '2028-02-29T02:00:00.000Z'],
      ['2026-01-31', '2026-01-31T00:00:00.000Z'],
      [Date.UTC(2026, 0, 31), '2026-01-31T00:00:00.000Z'],
      [new Date(0), '1970-01-01T00:00:00.000Z'],
      // A function node's Date is of another world.
      [runInNewContext('new Date(0)'), '1970-01-01T00:00:00.000Z'],
    ];
    for (const [startAt, at] of times) {
      assert.equal(new Date(create({ startAt }).startAt ?? NaN).toISOString(), at);
    }
    assert.equal(create({ startAt: '' }).startAt, null);
  });

  for (const startAt of [
    '5',
    '12/31/2030',
    '2026-02-30T00:00:00Z',
    '2026-13-01',
    '2026-01-31T25:00Z',
    'soon',
  ]) {
    it(`does not start at ${startAt}`, () => refuses(() => create({ startAt }), 'startAt'));
  }

  it('names a field of a window that there is not', () => {
    const window = { from: '01:00', to: '05:00', timezone: 'UTC' };
    refuses(() => create({ policy: { window } }), 'policy.window.timezone');
  });

  it('takes a package that JSON can hold', () => {
    const round: Record<string, unknown> = {};
    round['self'] = round;
    refuses(() => create({}, { round }), 'package');
    refuses(() => create({}, { rows: 10n }), 'package');
  });

  it('takes the version that a package is made from before the node’s own, after the task’s', () => {
    const defaults = { ...DEFAULT_POLICY, fromVersions: ['v0'] };
    const of = (policy: object, pack: object): readonly string[] =>
      create({ policy }, pack, defaults).policy.fromVersions;
    assert.deepEqual(of({}, {}), ['v0']);
    assert.deepEqual(of({}, { fromVersion: 'v1' }), ['v1']);
    assert.deepEqual(of({}, { fromVersion: null }), ['v0']);
    assert.deepEqual(of({ fromVersions: 'v2, v3' }, { fromVersion: 'v1' }), ['v2', 'v3']);
    assert.deepEqual(of({ fromVersions: [] }, { fromVersion: 'v1' }), []);
    for (const fromVersion of [5, ['v1']]) refuses(() => create({}, { fromVersion }), 'package.fromVersion');
  });

  for (const action of ['cancel', 'retry']) {
    it(`to ${action} one device by the name of many is not for all of them`, () => {
      refuses(() => readCommand({ action, taskId: 't', accessToken: 'a' }, DEFAULT_POLICY), 'accessToken');
    });
  }

  it('says which of its tokens is none', () => {
    for (const wrong of [5, '', null, undefined, 'x'.repeat(1025)]) {
      assert.throws(() => checkTargets(['a', wrong], 'targets', 1000), /"targets".* item 1001 /);
    }
    assert.throws(() => checkTargets(new Array(2), 'targets', 0), /item 0 is undefined/);
  });

  it('keeps a token apart from others that no database could tell it from', () => {
    assert.deepEqual(checkTargets(['a\0b', 'a', '\ud800', 'a/b', '😀'], 'targets', 0), [
      'a\u0001b',
      'a',
      '\u0001',
      'a/b',
      '😀',
    ]);
  });
});
