/** Why the runtime refuses what a form can hold, in the language of the page: the words by which it is told. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';
import { readFields } from '../../nodes/lib/packages/library';
import { checkToken, OtaError, type OtaCode, toOtaError } from '../../nodes/lib/protocol';
import { DEFAULT_POLICY } from '../../nodes/lib/tasks/policy';
import { readCommand } from '../../nodes/lib/tasks/commands';
import { ROOT } from '../../scripts/build/paths';
import { allWords } from '../../scripts/console/words';

interface Refusals {
  fault(error: object): string;
  coded(text: string, reason?: string): string;
}

/** The page's part by itself, on a page of that language. */
function refusals(language: string): Refusals {
  const file = path.join(ROOT, 'scripts/console/pages/refusals.vue');
  const script = /<script>([\s\S]*)<\/script>/.exec(fs.readFileSync(file, 'utf8'))?.[1] ?? '';
  const module = { exports: { mounted: () => undefined } };
  const load = vm.runInThisContext(
    `(module) => {${script.replace('export default', 'module.exports =')}}`,
  ) as (of: typeof module) => void;
  load(module);
  const words = allWords();
  const t = (key: string, values: Record<string, string | number> = {}): string =>
    (words[key]?.[language] ?? key).replace(/\{(\w+)\}/g, (all, name: string) => String(values[name] ?? all));
  let made: Refusals | undefined;
  const $store = {
    state: { ota: { words, language, t } },
    registerModule: (_name: string, { state }: { state: () => Refusals }) => void (made = state()),
  };
  module.exports.mounted.call({ $store } as never);
  assert.ok(made);
  return made;
}

/** As the function node "why" tells a browser. */
function told(work: () => unknown): object {
  try {
    work();
  } catch (error) {
    const { code, message, cause } = toOtaError(error);
    return { code, message, ...(cause !== undefined && { reason: cause }) };
  }
  throw new Error('nothing was refused');
}

const file = { size: 9, sign: 'a'.repeat(32), url: 'http://127.0.0.1/f', version: 'v1' };
const command = (payload: object) => told(() => readCommand(payload, DEFAULT_POLICY));
const create = (payload: object) => command({ action: 'create', package: file, targets: 'all', ...payload });
const lines = (n: number): string[] => Array.from({ length: n }, (_, i) => `v${i}`);
const error = (code: OtaCode, message: string): object => {
  const made = new OtaError(code, message);
  return { code: made.code, message: made.message };
};

const REFUSED: Readonly<Record<string, object>> = {
  'an end before the start': create({ startAt: '2030-01-02T00:00:00Z', endAt: '2030-01-01T00:00:00Z' }),
  'waves that fall': create({ policy: { waves: [50, 10] } }),
  'a window without an end': create({ policy: { window: { from: '01:00' } } }),
  'a number beyond its range': create({ policy: { failureThreshold: 400 } }),
  'too many versions': create({ targets: { version: lines(101) } }),
  'too many labels to look for': create({
    targets: { labels: Object.fromEntries(lines(17).map((name) => [name, 'x'])) },
  }),
  'a long description': create({ description: 'x'.repeat(1025) }),
  'an address that devices crash at': create({ package: { ...file, url: `http://a/${'x'.repeat(300)}` } }),
  'packages of two versions': create({
    package: undefined,
    packages: [file, { ...file, version: 'v2' }],
  }),
  'a long name of a label': command({
    action: 'label',
    accessTokens: ['a'],
    labels: { ['x'.repeat(65)]: 'y' },
  }),
  'a version with control characters': told(() =>
    readFields({ version: 'v\u0007' }, { signMethod: 'SHA256' }),
  ),
  'a long name': told(() => readFields({ version: 'v1', name: 'x'.repeat(999) }, { signMethod: 'SHA256' })),
  'a task that is over': error('OTA_TASK_STATE', 'A task that is ended can not do "pause": it is over.'),
  'a task that is gone': error('OTA_UNKNOWN_TASK', 'There is no task "x": "list" answers those there are.'),
  'a store that is busy': error('OTA_STORE_BUSY', '1000 commands wait for the store already.'),
};

describe('the console’s refusals', () => {
  const chinese = refusals('zh-CN');
  const english = refusals('en-US');

  for (const [what, of] of Object.entries(REFUSED)) {
    it(`tell ${what} in Chinese, without the English text`, () => {
      const text = chinese.fault(of);
      assert.match(text, /[\u4e00-\u9fff].*[\u4e00-\u9fff]/);
      assert.doesNotMatch(
        text.replace(/OTA_[A-Z_]+|BASE_URL|OTA|MCU|Europe\/Berlin|URL/g, ''),
        /[A-Za-z]{3,}/,
      );
    });

    it(`tell ${what} in English with the runtime’s own text, which names the field`, () => {
      assert.ok(english.fault(of).length > 20);
      assert.doesNotMatch(english.fault(of), /[\u4e00-\u9fff]/);
    });
  }

  it('keep the English text of what nobody foresaw, behind the words of its code', () => {
    const text = chinese.fault({ code: 'OTA_FILE', message: 'The folder /x can not be read.' });
    assert.equal(text, '文件无法读写 (OTA_FILE: The folder /x can not be read.)');
    assert.match(chinese.fault({ message: 'boom' }), /操作失败.*boom/);
  });

  it('tell the code that a device gave as its reason', () => {
    assert.equal(chinese.coded('OTA_DIGEST_MISMATCH'), '文件摘要与通知不一致 (OTA_DIGEST_MISMATCH)');
    assert.equal(chinese.coded('E-17'), 'E-17');
  });

  it('tell why nothing could be pushed to a device', () => {
    const token = (told(() => checkToken('#')) as { message: string }).message;
    assert.equal(chinese.coded(token, 'refused'), 'AccessToken 无效');
    assert.equal(english.coded(token, 'refused'), token);
    const broker = 'The broker refused the message (reason 135): check its access rules for this topic.';
    assert.match(chinese.coded(broker, 'refused'), /^MQTT 服务器拒绝了发布/);
    assert.equal(chinese.coded('The broker refused me', 'flashing'), 'The broker refused me');
  });
});
