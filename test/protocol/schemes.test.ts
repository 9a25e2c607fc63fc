/** Topic schemes: how topics are built and read, which templates are refused, what of a topic is shown. */
import assert from 'node:assert/strict';
import { createScheme, KINDS, maskToken, SCHEME_NAMES, type Templates } from '../../nodes/lib/protocol';
import { readTemplate } from '../../nodes/lib/rules';
import { otaError } from './wire';

const CUSTOM: Templates = {
  inform: 'fleet/{accessToken}/version',
  upgrade: 'fleet/{accessToken}/upgrade',
  progress: 'fleet/{accessToken}/progress',
};

describe('the topic scheme', () => {
  describe('thingspanel', () => {
    const scheme = createScheme('thingspanel');

    for (const kind of KINDS) {
      const topic = `/ota/device/${kind}/abc`;

      it(`has the topic ${topic}`, () => assert.equal(scheme.topic(kind, 'abc'), topic));

      it(`reads ${topic}`, () => assert.deepEqual(scheme.match(topic), { kind, accessToken: 'abc' }));

      it(`listens to every device with /ota/device/${kind}/+`, () => {
        assert.deepEqual(scheme.filters(kind, '+'), [`/ota/device/${kind}/+`]);
      });

      it(`listens to one device with ${topic}`, () => assert.deepEqual(scheme.filters(kind, 'abc'), [topic]));
    }

    for (const topic of [
      '/ota/device/inform/',
      '/ota/device/inform',
      '/ota/device/inform//abc',
      '/ota/device/inform/abc/',
      '/ota/device/inform/abc/def',
      'ota/device/inform/abc',
      '/ota/device/other/abc',
      '/OTA/device/inform/abc',
      '/ota/device/inform/a+c',
      '/ota/device/inform/a\0c',
      `/ota/device/inform/${'x'.repeat(129)}`,
      '',
      '/',
    ]) {
      it(`reads no device from ${JSON.stringify(topic).slice(0, 60)}`, () => {
        assert.equal(scheme.match(topic), null);
      });
    }

    it('knows the kind of a message whose token is wrong', () => {
      assert.equal(scheme.kindOf('/ota/device/progress/a+b'), 'progress');
      assert.equal(scheme.kindOf('/ota/device/upgrade/'), 'upgrade');
      assert.equal(scheme.kindOf('/ota/device/upgrade/a/b'), null);
    });

    it('never builds a topic for every device: a push to "+" would close the connection', () => {
      assert.throws(() => scheme.topic('upgrade', '+'), otaError('OTA_BAD_TOKEN'));
    });

    it('is the default', () => assert.equal(createScheme('').topic('inform', 'a'), '/ota/device/inform/a'));

    it('takes no notice of templates', () => {
      assert.equal(createScheme('thingspanel', CUSTOM).topic('inform', 'a'), '/ota/device/inform/a');
    });
  });

  describe('custom', () => {
    const scheme = createScheme('custom', CUSTOM);

    it('refuses a token with a leading $ where the token comes first: no wildcard would hear it', () => {
      const first = createScheme('custom', {
        inform: '{accessToken}/inform',
        upgrade: '{accessToken}/upgrade',
        progress: '{accessToken}/progress',
      });
      assert.throws(() => first.topic('upgrade', '$SYS'), otaError('OTA_BAD_TOKEN'));
      assert.equal(first.topicIfAny('upgrade', '$SYS'), '');
      assert.equal(scheme.topicIfAny('upgrade', '$a').includes('$a'), true);
    });

    for (const kind of KINDS) {
      it(`builds and reads the ${kind} topic of its template`, () => {
        const topic = CUSTOM[kind].replace('{accessToken}', 'abc');
        assert.equal(scheme.topic(kind, 'abc'), topic);
        assert.deepEqual(scheme.match(topic), { kind, accessToken: 'abc' });
        assert.deepEqual(scheme.filters(kind, '+'), [topic.replace('abc', '+')]);
      });
    }

    it('may have the token first, last, or in between', () => {
      const mixed = createScheme('custom', {
        inform: '{accessToken}/ota/inform',
        upgrade: 'ota/{accessToken}/upgrade/now',
        progress: 'ota/progress/{accessToken}',
      });
      for (const kind of KINDS) {
        assert.deepEqual(mixed.match(mixed.topic(kind, 'abc')), { kind, accessToken: 'abc' });
      }
    });

    it('takes a token literally, whatever patterns it looks like', () => {
      for (const token of ['$&', '{accessToken}', '$1', '.*', '\\']) {
        assert.deepEqual(scheme.match(scheme.topic('inform', token)), { kind: 'inform', accessToken: token });
      }
    });

    for (const [what, template] of [
      ['missing', ''],
      ['with the token twice', '{accessToken}/x/{accessToken}'],
      ['with the token as a part of a level', 'fleet/d-{accessToken}/version'],
      ['with the token once whole and once in part', '{accessToken}/d-{accessToken}'],
      ['with a plus', 'fleet/+/{accessToken}'],
      ['with a hash', 'fleet/{accessToken}/#'],
      ['with NUL', 'fleet/\0/{accessToken}'],
      ['with a line feed', 'fleet\n/{accessToken}'],
      ['with half a surrogate pair', 'fleet\ud83d/{accessToken}'],
      ['for a shared subscription', '$share/group/{accessToken}'],
      ["in the broker's own tree", '$SYS/{accessToken}'],
      ['longer than 1024 bytes', `${'é'.repeat(512)}/{accessToken}`],
    ] as const) {
      it(`is refused with a template ${what}`, () => {
        assert.notEqual(readTemplate(template).reason, null);
        for (const kind of KINDS) {
          assert.throws(
            () => createScheme('custom', { ...CUSTOM, [kind]: template }),
            otaError('OTA_BAD_TEMPLATE', new RegExp(`The ${kind} topic`)),
          );
        }
      });
    }

    it('is refused without templates', () => {
      assert.throws(() => createScheme('custom'), otaError('OTA_BAD_TEMPLATE', /inform topic is missing/));
    });

    for (const [what, inform, upgrade] of [
      ['are the same', 'a/{accessToken}', 'a/{accessToken}'],
      ['have the token at different levels', 'a/{accessToken}/b', 'a/b/{accessToken}'],
      ['could be each other’s with one token', '{accessToken}/b', 'a/{accessToken}'],
    ] as const) {
      it(`is refused where two templates ${what}`, () => {
        assert.throws(
          () => createScheme('custom', { inform, upgrade, progress: 'p/{accessToken}/p/p' }),
          otaError('OTA_BAD_TEMPLATE', /The inform topic and the upgrade topic must differ/),
        );
      });
    }

    for (const [what, inform, upgrade] of [
      ['differ in a level', 'a/{accessToken}/b', 'a/{accessToken}/c'],
      ['have different numbers of levels', 'a/{accessToken}', 'a/{accessToken}/b'],
      ['differ by a leading slash', '/a/{accessToken}', 'a/{accessToken}'],
      ['differ where the token stands but also elsewhere', 'a/{accessToken}/b', 'c/b/{accessToken}'],
    ] as const) {
      it(`is taken where two templates ${what}`, () => {
        const taken = createScheme('custom', { inform, upgrade, progress: 'p/{accessToken}/p/p' });
        assert.equal(taken.match(taken.topic('inform', 'b'))?.kind, 'inform');
        assert.equal(taken.match(taken.topic('upgrade', 'b'))?.kind, 'upgrade');
      });
    }
  });

  it('is refused where nobody knows it, naming those that are known', () => {
    assert.deepEqual(SCHEME_NAMES, [
      'thingspanel',
      'thingspanel-v0.4',
      'thingspanel-v0.5',
      'thingspanel-v1',
      'aliyun',
      'custom',
    ]);
    for (const name of ['Thingspanel', 'aws', '__proto__', 'constructor']) {
      assert.throws(
        () => createScheme(name),
        otaError('OTA_BAD_TEMPLATE', /thingspanel, .*aliyun or custom/),
      );
    }
  });

  describe('masks a topic', () => {
    const scheme = createScheme('thingspanel');
    const custom = createScheme('custom', CUSTOM);

    for (const [what, topic, shown] of [
      ['of a device', '/ota/device/inform/secret-token', '/ota/device/inform/secr…'],
      ['with a token that is none', `/ota/device/inform/${'s'.repeat(300)}`, '/ota/device/inform/ssss…'],
      ['with a level too many', '/ota/device/inform/secret-token/x', '/ota/device/inform/secr…/…'],
      ['with a level too few', '/ota/device/secret-token', '/ota/device/secr…'],
      ['that is another', 'secret-token/secret-token', 'secr…/secr…'],
      ['without a token', '/ota/device/inform/', '/ota/device/inform/…'],
    ] as const) {
      it(what, () => assert.equal(scheme.mask(topic, maskToken), shown));
    }

    it('in the middle', () => {
      assert.equal(custom.mask('fleet/secret-token/version', maskToken), 'fleet/secr…/version');
    });

    it('that fits no template, in the middle', () => {
      assert.equal(custom.mask('fleet/secret-token/other', maskToken), 'fleet/secr…/ot…');
    });
  });
});
