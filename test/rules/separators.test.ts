import assert from 'node:assert/strict';
import {
  PACKAGE,
  POLICY,
  readSetting,
  type Setting,
  settingReason,
  TASK,
  VERIFY,
} from '../../nodes/lib/rules';

describe('a list that is typed and has no item', () => {
  const lists = Object.entries({ ...PACKAGE, ...VERIFY, ...TASK, ...POLICY } as Record<
    string,
    Setting<unknown>
  >).filter(([, { accepts }]) => accepts.kind === 'list');

  it('is looked for among all lists', () => {
    const names = ['allowedHosts', 'fromVersions', 'labelsFrom', 'publicKeys', 'retryOn', 'waves'];
    assert.deepEqual(lists.map(([name]) => name).sort(), names);
  });

  for (const [name, list] of lists) {
    it(`is refused for ${name}, in a flow and in the editor: it is never "off"`, () => {
      for (const text of [',', ' ,\n, ', ...(name === 'publicKeys' ? [';', '\\n'] : [])]) {
        assert.notEqual(readSetting(list, text).reason, null, text);
        assert.notEqual(settingReason(list, text), null, text);
      }
      assert.deepEqual(readSetting(list, ' ').value, list.byDefault);
    });
  }

  it('is an empty list where it is written as one', () => {
    assert.deepEqual(readSetting(POLICY.retryOn, '[]').value, []);
  });
});
