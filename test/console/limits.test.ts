/** No form of the console takes more characters than the command behind it: what was typed would be refused. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {
  MAX_LABEL_NAME,
  MAX_LABEL_VALUE,
  MAX_NOTE,
  MAX_PACKAGE_DESCRIPTION,
  MAX_PACKAGE_LINE,
  MAX_TASK_DESCRIPTION,
  MAX_TASK_NAME,
} from '../../nodes/lib/rules';
import { ROOT } from '../../scripts/build/paths';
import { MAX } from '../../scripts/console/kinds';

const PAGES = path.join(ROOT, 'scripts/console/pages');

/** The limit of each field by its page and the value that it is for. */
const LIMITS: Readonly<Record<string, number>> = {
  'cards.vue form.name': MAX_TASK_NAME,
  'cards.vue form.remark': MAX_NOTE,
  'cards.vue form.description': MAX_TASK_DESCRIPTION,
  'packages.vue form[key]': MAX_PACKAGE_LINE,
  'packages.vue form.fromVersion': MAX_PACKAGE_LINE,
  'packages.vue form.description': MAX_PACKAGE_DESCRIPTION,
  'policies.vue name': MAX_LABEL_NAME,
  'policies.vue value': MAX_LABEL_VALUE,
  'tasks.vue form.name': MAX_TASK_NAME,
  'tasks.vue form.description': MAX_TASK_DESCRIPTION,
};

/** Fields of a page that say how much they take: what each is for, and the number, which no page has of its own. */
function limited(page: string): [string, number][] {
  const text = fs.readFileSync(path.join(PAGES, page), 'utf8');
  const fields = [...text.matchAll(/<(?:ota-field|input|textarea)\b[^>]*?\s:?maxlength="([^"]+)"[^>]*>/gs)];
  return fields.map(([field, max = '']) => [
    `${page} ${/\sv-model="([^"]+)"/.exec(field)?.[1] ?? ''}`,
    (MAX as Readonly<Record<string, number>>)[max.replace(/^(ota\.)?max\./, '')] ?? Number.NaN,
  ]);
}

describe('the console’s forms', () => {
  const fields = fs.readdirSync(PAGES).flatMap(limited);

  it('take no longer texts than the commands', () => {
    for (const [field, max] of fields) {
      const rule = LIMITS[field];
      assert.ok(rule !== undefined, `${field} is not in the list of this test`);
      assert.ok(max <= rule, `${field} takes ${max} characters, its command ${rule}`);
    }
  });

  it('are all that the list names', () => {
    assert.deepEqual(fields.map(([field]) => field).sort(), Object.keys(LIMITS).sort());
  });
});
