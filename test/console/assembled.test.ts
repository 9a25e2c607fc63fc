/** What ships is what the parts make, and the parts keep to their limits. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';
import { ROOT } from '../../scripts/build/paths';
import { flows, print } from '../../scripts/console/assemble';
import { OTA_CODES } from '../../nodes/lib/protocol';
import { MOVES } from '../../nodes/lib/tasks/machine/table';
import { CANCEL_REASONS, DEVICE_STATUSES, FAIL_REASONS, TASK_STATUSES } from '../../nodes/lib/tasks/types';

type Words = Record<string, Record<string, string>>;

const PARTS = path.join(ROOT, 'scripts/console');
const read = (file: string): string => fs.readFileSync(path.join(PARTS, file), 'utf8');
const list = (folder: string): string[] => fs.readdirSync(path.join(PARTS, folder));
const pages = list('pages').map((file) => [file, read(`pages/${file}`)] as const);

describe('the console’s flow files', () => {
  for (const [name, nodes] of flows()) {
    describe(name, () => {
      it('is what the script makes of the parts', async () => {
        const shipped = fs.readFileSync(path.join(ROOT, 'examples', name), 'utf8');
        assert.ok(
          shipped === (await print(nodes)),
          'run "npx tsx scripts/console.ts" and commit what it writes',
        );
      });

      it('ends with a node that names the dashboard’s module and version', () => {
        const last = nodes.at(-1);
        assert.equal(last?.type, 'global-config');
        assert.deepEqual(last['modules'], { '@flowfuse/node-red-dashboard': '1.31.0' });
      });

      it('keeps each browser’s answers apart: the base lists every dashboard node in it', () => {
        const base = nodes.find(({ type }) => type === 'ui-base');
        const listed = base?.['acceptsClientConfig'] as string[];
        const used = nodes
          .map(({ type }) => type)
          .filter((type) => /^ui-(?!base|page|group|theme)/.test(type));
        assert.deepEqual(
          used.filter((type) => !listed.includes(type)),
          [],
        );
      });

      it('has short nodes: pages of at most 200 lines, functions of at most 30', () => {
        for (const { id, type, format, func } of nodes) {
          if (type === 'ui-template') assert.ok((format as string).split('\n').length <= 200, id);
          if (type === 'function') assert.ok((func as string).split('\n').length <= 30, id);
        }
      });

      it('holds no node id in code', () => {
        for (const { id, format, func, template } of nodes) {
          assert.doesNotMatch(`${String(format)}${String(func)}${String(template)}`, /ota_console_/, id);
        }
      });

      it('wires only to nodes that are there', () => {
        const ids = new Set(nodes.map(({ id }) => id));
        assert.equal(ids.size, nodes.length);
        for (const { id, wires = [], links = [], scope = [], g, z } of nodes) {
          const named = [...(wires as string[][]).flat(), ...(links as string[]), ...(scope as string[])];
          for (const target of [...named, g, z].filter((one) => typeof one === 'string')) {
            assert.ok(ids.has(target), `${id} → ${target}`);
          }
        }
      });
    });
  }
});

describe('the console’s words', () => {
  const words = JSON.parse(read('words.json')) as Words;
  const languages = Object.keys(words['language.name'] ?? {});

  it('are there in English and Simplified Chinese, at least', () => {
    for (const language of ['en-US', 'zh-CN']) assert.ok(languages.includes(language), language);
  });

  it('have a text for every key in every language', () => {
    for (const [key, texts] of Object.entries(words)) {
      assert.deepEqual(Object.keys(texts), languages, key);
      for (const text of Object.values(texts)) assert.notEqual(text.trim(), '', key);
    }
  });

  it('take the same values in every language', () => {
    for (const [key, texts] of Object.entries(words)) {
      const values = Object.values(texts).map((text) => (text.match(/\{\w+\}/g) ?? []).sort().join());
      assert.equal(new Set(values).size, 1, key);
    }
  });

  it('name every reason, event and trouble that a task can have', () => {
    const missing = (prefix: string, keys: Iterable<string>): string[] =>
      [...keys].map((key) => prefix + key).filter((key) => words[key] === undefined);
    const reasons = [...FAIL_REASONS, ...CANCEL_REASONS, 'busy', 'rebooted', 'failure-threshold'];
    const paused = ['wave-below-threshold', 'wave-done', 'start-paused'];
    // What is no line of a history, or stands there by the name of the report.
    const other =
      'put-off reconnected accepted restarted overtaken alive confirm-over unblocked delay-over step progress-100 ' +
      'failure target first-version source other push-timeout offline-after-reconnect';
    const events = MOVES.flatMap(({ on }) => on).filter((on) => !other.split(' ').includes(on));
    const log = [
      'created',
      'started',
      'wave-opened',
      'paused',
      'resumed',
      'updated',
      'retried',
      'devices-cancelled',
      'older-superseded',
      'cancelled',
      'ended',
    ];
    assert.deepEqual(
      [
        ...missing('reason.', [...reasons, ...paused]),
        ...missing('event.', [...events, 'progress', 'version', 'timeout']),
        ...missing('log.', log),
        ...missing('status.', DEVICE_STATUSES),
        ...missing('task.is.', TASK_STATUSES),
      ],
      [],
    );
  });

  it('have a sentence for every code of an error', () => {
    assert.deepEqual(
      OTA_CODES.filter((code) => words[`error.${code}`] === undefined),
      [],
    );
  });

  it('hold every key that a page asks for', () => {
    for (const [file, text] of pages) {
      for (const [, key = ''] of text.matchAll(/\bt\(\s*'([\w/-]+\.[\w.-]+)'/g))
        assert.ok(words[key], `${file}: ${key}`);
    }
  });
});

describe('the console’s pages', () => {
  for (const [file, text] of pages) {
    it(`${file} shows text as text, never as HTML`, () => {
      assert.doesNotMatch(text, /v-html|innerHTML|insertAdjacentHTML|document\.write/);
    });

    it(`${file} has a script that can be read`, () => {
      const script = /<script>([\s\S]*)<\/script>/.exec(text)?.[1] ?? '';
      assert.doesNotThrow(() => new vm.Script(script.replace('export default', 'module.exports =')));
    });

    it(`${file} closes its elements, as HTML wants it`, () => {
      const template = text.slice(0, text.indexOf('<script>'));
      assert.deepEqual(template.match(/<(?!input|br|hr|img)[a-z][^<>]*\/>/g), null);
    });

    it(`${file} has no text of its own`, () => {
      const template = text
        .slice(0, text.indexOf('<script>'))
        .replace(/<!--[\s\S]*?-->|\{\{[\s\S]*?\}\}|<(?:"[^"]*"|[^">])*>/g, '');
      assert.doesNotMatch(template, /[A-Za-z\u4e00-\u9fff]{2,}/);
    });
  }
});
