/** Labels as people type them into the console: what is read, and that nothing of it is left out silently. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';
import { ROOT } from '../../scripts/build/paths';

interface Tools {
  readonly labels: (text: string) => Record<string, string | string[]>;
}
interface Page {
  methods: { tools(words: object): Tools };
}

function tools(): Tools {
  const file = path.join(ROOT, 'scripts/console/pages/tools.vue');
  const script = /<script>([\s\S]*)<\/script>/.exec(fs.readFileSync(file, 'utf8'))?.[1] ?? '';
  const module = {} as { exports: Page };
  const load = vm.runInThisContext(
    `(module) => {${script.replace('export default', 'module.exports =')}}`,
  ) as (of: typeof module) => void;
  load(module);
  return module.exports.methods.tools.call({ $store: { state: {} } }, {});
}

describe('the console reads labels', () => {
  const { labels } = tools();

  it('with the colons, equals signs and commas of either keyboard', () => {
    const read = { 地点: '柏林', hardware: 'A', lot: '7' };
    assert.deepEqual(labels('地点：柏林，hardware＝A；lot: 7'), read);
    assert.deepEqual(labels('地点: 柏林\nhardware=A, lot:7\n'), read);
  });

  it('with a value that holds colons', () => {
    assert.deepEqual(labels('mac: AA:BB:3'), { mac: 'AA:BB:3' });
  });

  it('of one name on several lines as any of these values', () => {
    assert.deepEqual(labels('site: a\nsite: b\nlot: 7'), { site: ['a', 'b'], lot: '7' });
  });

  it('of a blank field as none', () => {
    assert.deepEqual(labels(' \n'), {});
  });

  for (const text of ['canary', 'hw rev2', 'site:', ': Berlin', 'site: a\ncanary', ',']) {
    it(`and refuses ${JSON.stringify(text)} in place of leaving it out`, () => {
      assert.throws(
        () => labels(text),
        (error: { code: string }) => error.code === 'LABELS',
      );
    });
  }
});
