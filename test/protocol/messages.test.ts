/** The messages of the documentation, and their fields that hold texts: what we send and what we read. */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import {
  INFORM,
  PROGRESS,
  read,
  readInform,
  readProgress,
  readUpgrade,
  refused,
  sentInform,
  sentProgress,
  sentUpgrade,
  UPGRADE,
  withoutParam,
  withParams,
} from './wire';

const PACKAGE = UPGRADE.params;

describe('the messages of the protocol', () => {
  describe('the documented examples', () => {
    it('reads the report of the page', () => {
      const report = { id: '1472583690', module: 'default', version: 'v1.0.1', params: null };
      assert.deepEqual(readInform(INFORM), report);
    });

    it('reads the push of the page', () => {
      assert.deepEqual(readUpgrade(UPGRADE), { id: '1472583690', code: 200, ...PACKAGE });
    });

    it('reads the progress of the page', () => {
      assert.deepEqual(readProgress(PROGRESS), {
        module: 'MCU',
        step: 100,
        status: 'succeeded',
        failure: null,
        desc: 'upgrade 100%',
      });
    });

    it('sends a report, a push and a progress in the form of the page', () => {
      assert.deepEqual(sentInform({ version: 'v1.0.1' }), INFORM);
      assert.deepEqual(sentUpgrade(PACKAGE), UPGRADE);
      assert.deepEqual(sentProgress({ step: 100, desc: 'upgrade 100%', module: 'MCU' }), PROGRESS);
    });
  });

  describe('desc', () => {
    it('is cut at 128 characters', () => {
      assert.equal(sentProgress({ step: 1, desc: 'x'.repeat(129) })['desc'], 'x'.repeat(128));
      assert.equal(sentProgress({ step: 1, desc: 'x'.repeat(128) })['desc'], 'x'.repeat(128));
    });

    it('is cut between whole code points', () => {
      assert.equal(sentProgress({ step: 1, desc: '😀'.repeat(200) })['desc'], '😀'.repeat(128));
      assert.equal(sentProgress({ step: 1, desc: 'x' + '😀'.repeat(200) })['desc'], 'x' + '😀'.repeat(127));
    });

    it('is kept whole where 128 characters take more than 128 units', () => {
      assert.equal(sentProgress({ step: 1, desc: '升😀'.repeat(64) })['desc'], '升😀'.repeat(64));
    });

    it('is sent empty where there is none', () => {
      assert.equal(sentProgress({ step: 1 })['desc'], '');
    });

    it('is kept where a device sends more', () => {
      const desc = 'é'.repeat(10_000);
      assert.equal(readProgress({ step: '1', desc }).desc, desc);
    });

    it('is empty where it is absent or null', () => {
      assert.equal(readProgress({ step: '1' }).desc, '');
      assert.equal(readProgress({ step: '1', desc: null }).desc, '');
    });

    it('is refused where it is no text', () => {
      refused(read('progress', { step: '1', desc: 5 }), 'OTA_BAD_MESSAGE');
    });
  });

  describe('extData', () => {
    it('is sent with texts as values', () => {
      const extData = { a: 'b', n: 1, yes: true, deep: { x: [1] }, none: null, lost: undefined };
      assert.deepEqual(sentUpgrade({ ...PACKAGE, extData }).params['extData'], {
        a: 'b',
        n: '1',
        yes: 'true',
        deep: '{"x":[1]}',
      });
    });

    it('is left out where it is empty', () => {
      for (const extData of [undefined, null, {}, { none: null }]) {
        assert.ok(!('extData' in sentUpgrade({ ...PACKAGE, extData }).params));
      }
    });

    it('carries _package_udi as it is', () => {
      const extData = { _package_udi: '{"a":1}' };
      assert.deepEqual(sentUpgrade({ ...PACKAGE, extData }).params['extData'], extData);
      assert.deepEqual(readUpgrade(withParams(UPGRADE, { extData })).extData, extData);
    });

    it('is read with values of any kind', () => {
      const extData = { n: 1, deep: { x: [1, null] }, yes: true };
      assert.deepEqual(readUpgrade(withParams(UPGRADE, { extData })).extData, extData);
    });

    it('is an empty object where it is absent or null', () => {
      assert.deepEqual(readUpgrade(withoutParam(UPGRADE, 'extData')).extData, {});
      assert.deepEqual(readUpgrade(withParams(UPGRADE, { extData: null })).extData, {});
    });

    for (const extData of ['text', 1, true, []]) {
      it(`is refused as ${JSON.stringify(extData)}`, () => {
        refused(read('upgrade', withParams(UPGRADE, { extData })), 'OTA_BAD_MESSAGE');
      });
    }
  });

  describe('version', () => {
    for (const version of [undefined, null, '', 1.1, true, {}]) {
      it(`is refused as ${inspect(version)} in a report and a push`, () => {
        refused(read('inform', withParams(INFORM, { version })), 'OTA_BAD_MESSAGE');
        refused(read('upgrade', withParams(UPGRADE, { version })), 'OTA_BAD_MESSAGE');
      });
    }

    it('is any other text', () => {
      for (const version of ['1', '1.0', 'v1.1-β', '20260101', '1 2', '<b>']) {
        assert.equal(readInform(withParams(INFORM, { version })).version, version);
      }
    });
  });

  describe('url', () => {
    it('is read as it came, or null', () => {
      assert.equal(readUpgrade(UPGRADE).url, PACKAGE.url);
      assert.equal(readUpgrade(withParams(UPGRADE, { url: 'file:///etc/passwd' })).url, 'file:///etc/passwd');
      assert.equal(readUpgrade(withoutParam(UPGRADE, 'url')).url, null);
    });

    it('is refused where it is no text', () => {
      refused(read('upgrade', withParams(UPGRADE, { url: {} })), 'OTA_BAD_MESSAGE');
    });
  });
});
