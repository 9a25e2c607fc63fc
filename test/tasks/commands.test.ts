import assert from 'node:assert/strict';
import { runInNewContext } from 'node:vm';
import { createScheme } from '../../nodes/lib/protocol';
import {
  checkTargets,
  type Command,
  type CommandOf,
  readCommand,
  readReport,
  sortTargets,
} from '../../nodes/lib/tasks/commands';
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

  const read = (payload: object): Command => readCommand({ taskId: 't', ...payload }, DEFAULT_POLICY);

  it('tells who asked for it, and what they say', () => {
    const { by, remark } = read({ action: 'pause', by: 'ann', remark: 'too hot' });
    assert.deepEqual([by, remark], ['ann', 'too hot']);
    assert.deepEqual([read({ action: 'get' }).by, read({ action: 'get' }).remark], [null, null]);
    refuses(() => read({ action: 'pause', by: 'x'.repeat(129) }), 'by');
    refuses(() => read({ action: 'pause', remark: 5 }), 'remark');
  });

  describe('that makes a task', () => {
    it('takes a draft with a description, an end and what becomes of its devices then', () => {
      const input = create({
        draft: true,
        description: 'for hall 3',
        endAt: '2027-01-01T00:00:00Z',
        endBehavior: 'cancel',
      });
      assert.deepEqual(
        [input.draft, input.description, input.endAt, input.endBehavior],
        [true, 'for hall 3', Date.UTC(2027, 0, 1), 'cancel'],
      );
      assert.deepEqual([create({}).draft, create({}).endAt, create({}).endBehavior], [false, null, 'stop']);
    });

    it('takes a time with a fraction of a millisecond', () => {
      const endAt = Date.UTC(2027, 0, 1) + 0.25;
      assert.equal(create({ endAt }).endAt, Date.UTC(2027, 0, 1));
    });

    it('does not end before it starts', () => {
      refuses(() => create({ startAt: '2027-01-02', endAt: '2027-01-02' }), 'endAt');
      refuses(() => create({ endAt: 'never' }), 'endAt');
      refuses(() => create({ endBehavior: 'pause' }), 'endBehavior');
    });

    it('has no text in what it pushes that no database keeps, and looks for none', () => {
      for (const odd of ['nul \0', 'half \ud800']) {
        refuses(() => create({ package: { ...PACKAGE, version: `v${odd}` } }), 'package');
        refuses(() => create({ package: { ...PACKAGE, extData: { k: odd } } }), 'package');
        refuses(() => create({ package: { ...PACKAGE, extData: { [odd]: 'v' } } }), 'package');
        const { joining } = create({ targets: { versions: ['v1', odd], joining: true } });
        assert.doesNotMatch(JSON.stringify(joining), /\\u0000|\\ud/);
        assert.equal(joining?.filter.versions?.[0], 'v1');
      }
    });

    it('is of no module whose reports would count for nothing', () => {
      const module = 'm'.repeat(128);
      assert.equal(create({ package: { ...PACKAGE, module } }).upgrade.module, module);
      refuses(() => create({ package: { ...PACKAGE, module: `${module}m` } }), 'package.module');
    });

    it('takes several packages of one version and module, each with what it fits', () => {
      const { packages, upgrade, policy } = create({
        package: undefined,
        packages: [
          { ...PACKAGE, fromVersion: 'v1', requires: { board: ['a', 'b'] } },
          { ...PACKAGE, fromVersions: ['v0', 'v1'] },
          { ...PACKAGE, url: 'http://127.0.0.1/full' },
        ],
      });
      assert.deepEqual(
        packages.map(({ fromVersions, requires }) => [fromVersions, requires]),
        [
          [['v1'], { board: ['a', 'b'] }],
          [['v0', 'v1'], null],
          [[], null],
        ],
      );
      assert.deepEqual([upgrade, policy.fromVersions], [packages[0]?.upgrade, []]);
    });

    it('takes the labels that a single package requires', () => {
      const [variant] = create({}, { requires: { board: 'a', lot: 7 } }).packages;
      assert.deepEqual(variant?.requires, { board: ['a'], lot: ['7'] });
      refuses(() => create({}, { requires: 'a' }), 'package.requires');
      refuses(() => create({}, { requires: { board: {} } }), 'package.requires.board');
    });

    it('refuses packages that differ in version or module, none, and both ways at once', () => {
      const other = (more: object) => () =>
        create({ package: undefined, packages: [PACKAGE, { ...PACKAGE, ...more }] });
      refuses(other({ version: 'v3' }), 'packages[1]');
      refuses(other({ module: 'MCU' }), 'packages[1]');
      refuses(() => create({ package: undefined, packages: [] }), 'packages');
      refuses(() => create({ packages: [PACKAGE] }), 'packages');
    });

    it('takes filters over versions, labels and a module', () => {
      const targets = { version: 'v1', versions: ['v0', 'v1'], labels: { site: 'a' }, module: 'MCU' };
      assert.deepEqual(create({ targets }).targets, {
        versions: ['v1', 'v0'],
        labels: { site: ['a'] },
        module: 'MCU',
      });
      refuses(() => create({ targets: {} }), 'targets.version');
      refuses(() => create({ targets: { site: 'a' } }), 'targets.site');
      refuses(() => create({ targets: { labels: { site: [] } } }), 'targets.labels.site');
      refuses(() => create({ targets: { labels: {} } }), 'targets.version');
      refuses(() => create({ targets: { labels: {}, joining: true } }), 'targets.version');
    });

    it('lets devices join a filter, or all', () => {
      const filter = { versions: ['v1'], labels: null, module: null };
      const all = { versions: null, labels: null, module: null };
      const joining = (more: object): unknown => create(more).joining;
      assert.deepEqual(joining({ targets: { version: 'v1', joining: true } }), { filter, max: 1_000_000 });
      assert.deepEqual(joining({ targets: 'all', joining: true, max: 9 }), { filter: all, max: 9 });
      assert.deepEqual(joining({ targets: { version: 'v1', joining: true, max: 3 } }), { filter, max: 3 });
      assert.equal(joining({ targets: 'all' }), null);
      refuses(() => create({ joining: true }), 'joining');
      refuses(() => create({ targets: 'all', joining: true, max: 1_000_001 }), 'max');
    });
  });

  describe('that retries', () => {
    it('names states, reasons, and whether cancelled devices come back', () => {
      const of = (more: object): unknown => {
        const { status, reasons, cancelled } = read({ action: 'retry', ...more }) as CommandOf<'retry'>;
        return [status, reasons, cancelled];
      };
      assert.deepEqual(of({}), [null, null, false]);
      assert.deepEqual(of({ status: 'cancelled', cancelled: true }), ['cancelled', null, true]);
      assert.deepEqual(of({ reason: 'stalled' }), [null, ['stalled'], false]);
      refuses(() => of({ reason: 'tired' }), 'reason');
      refuses(() => of({ status: 'pending' }), 'status');
    });
  });

  describe('that updates', () => {
    const update = (more: object): unknown =>
      (read({ action: 'update', ...more }) as CommandOf<'update'>).update;

    it('has what it changes, and nothing else', () => {
      assert.deepEqual(update({ name: 'b', policy: { perMinute: '10', window: null } }), {
        name: 'b',
        policy: { perMinute: 10, window: null },
      });
      assert.deepEqual(update({ endAt: null, endBehavior: 'stop' }), { endAt: null, endBehavior: 'stop' });
    });

    for (const name of ['waves', 'skipCurrent', 'fromVersions']) {
      it(`does not change ${name}`, () =>
        refuses(() => update({ policy: { [name]: [100] } }), `policy.${name}`));
    }

    it('names what it can not change', () => {
      refuses(() => update({}), 'policy');
      refuses(() => update({ policy: { hurry: 1 } }), 'policy.hurry');
      refuses(() => update({ policy: { perMinute: 'x' } }), 'policy.perMinute');
      refuses(() => update({ policy: [] }), 'policy');
    });
  });

  describe('over the fleet', () => {
    it('labels devices with texts, or takes labels away', () => {
      const labels = (given: unknown): unknown =>
        (read({ action: 'label', accessTokens: ['a'], labels: given }) as CommandOf<'label'>).labels;
      assert.deepEqual(labels({ site: 'a', lot: 7, old: null }), { site: 'a', lot: '7', old: null });
      refuses(() => labels({}), 'labels');
      refuses(() => labels({ ['x'.repeat(65)]: 'a' }), 'labels');
      refuses(() => labels({ site: 'x'.repeat(129) }), 'labels.site');
      refuses(
        () => labels(Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`l${i}`, 'x']))),
        'labels',
      );
    });

    for (const action of ['label', 'forget', 'seen']) {
      it(`needs devices for ${action}`, () =>
        refuses(() => read({ action, labels: { a: 'b' } }), 'accessTokens'));
    }

    it('searches by module, version, labels and the beginning of a token', () => {
      const command = read({
        action: 'fleet',
        module: 'MCU',
        version: 'v1',
        search: 'a',
        labels: { site: 'x' },
      });
      assert.deepEqual(command, {
        action: 'fleet',
        module: 'MCU',
        version: 'v1',
        search: 'a',
        labels: { site: ['x'] },
        page: 1,
        pageSize: 20,
        by: null,
        remark: null,
      });
    });
  });

  it('finds devices of the fleet by a version as long as devices have', () => {
    const { version } = readCommand(
      { action: 'fleet', version: 'v'.repeat(256) },
      DEFAULT_POLICY,
    ) as CommandOf<'fleet'>;
    assert.equal(version?.length, 256);
  });

  it('counts the targets that can be no token, and keeps what may be a device', () => {
    const { identity } = createScheme('thingspanel');
    assert.deepEqual(
      sortTargets(['a', 5, ' ', 'b/c', null, 'a,b', 'x'.repeat(2000)], (token) => identity.is(token)),
      {
        tokens: ['a', 'b/c', 'a,b'],
        bad: 5,
      },
    );
  });

  describe('by wires', () => {
    it('takes blanks for no module', () => {
      const report = { accessToken: 'a', module: ' \t' };
      const version = readReport({ ...report, action: 'version', version: 'v1' });
      const progress = readReport({ ...report, action: 'progress', step: 1 });
      assert.deepEqual(
        [version, progress].map((read) => 'module' in read && read.module),
        ['default', null],
      );
    });

    it('takes blanks for no device', () => {
      refuses(() => readReport({ action: 'version', accessToken: ' \t', version: 'v1' }), 'accessToken');
    });

    it('reports a version, progress, and what became of a push', () => {
      assert.deepEqual(
        readReport({ action: 'version', accessToken: 'hall 3/+#', version: ' v1\n', id: 7, board: 'r1' }),
        {
          kind: 'inform',
          accessToken: 'hall 3/+#',
          id: '7',
          module: 'default',
          version: 'v1',
          params: { board: 'r1' },
        },
      );
      const unsafe = JSON.parse(
        '{"action":"version","accessToken":"a","version":"v1","__proto__":"x","params":{"constructor":1}}',
      ) as Parameters<typeof readReport>[0];
      const read = readReport(unsafe);
      assert.ok(read.kind === 'inform' && Object.keys(read.params).length === 0, 'as a report by MQTT');
      assert.deepEqual(readReport({ action: 'progress', accessToken: 'a', step: 37.9, desc: 'x' }), {
        kind: 'progress',
        accessToken: 'a',
        module: null,
        step: 37,
        desc: 'x',
      });
      assert.deepEqual(readReport({ action: 'outcome', id: '1', outcome: 'offline' }), {
        kind: 'outcome',
        id: '1',
        outcome: 'offline',
      });
    });

    it('names what is wrong with a report', () => {
      refuses(() => readReport({ action: 'version', version: 'v1' }), 'accessToken');
      refuses(
        () => readReport({ action: 'version', accessToken: 'x'.repeat(129), version: 'v1' }),
        'accessToken',
      );
      refuses(() => readReport({ action: 'version', accessToken: 'a', version: 5 }), 'version');
      refuses(() => readReport({ action: 'outcome', outcome: 'offline' }), 'id');
      refuses(() => readReport({ action: 'outcome', id: '1', outcome: 'lost' }), 'outcome');
      assert.throws(() => readReport({ action: 'progress', accessToken: 'a', step: 101 }), {
        code: 'OTA_BAD_STEP',
      });
    });

    for (const action of ['version', 'progress', 'outcome']) {
      it(`tells a node of MQTT devices that ${action} is for wires`, () =>
        refuses(() => readCommand({ action, accessToken: 'a' }, DEFAULT_POLICY), 'transport'));
    }
  });
});
