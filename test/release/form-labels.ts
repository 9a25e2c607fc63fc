/** The fields of a node's form and their labels, read from its page as a person finds them. */
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from '../packed/installed';

export interface Field {
  /** False for a hidden one, which nobody types into. */
  readonly shown: boolean;
  /** Key of the label's text; null where there is none. */
  readonly label: string | null;
}

/** The field of a setting; null where the form has none. */
export function fieldOf(node: string, setting: string): Field | null {
  const page = fs.readFileSync(path.join(ROOT, 'nodes', node, `${node}.html`), 'utf8');
  const id = `node-(?:config-)?input-${setting}`;
  const tag = new RegExp(`<(?:input|select|textarea|div)\\b[^>]*\\bid="${id}"[^>]*>`).exec(page)?.[0];
  if (tag === undefined) return null;
  const [, attributes = '', inner = ''] =
    new RegExp(`<label\\b([^>]*\\bfor="${id}"[^>]*)>([\\s\\S]*?)</label`).exec(page) ?? [];
  const [, label = null] = /data-i18n="(?:\[html\])?([^"]+)"/.exec(`${attributes} ${inner}`) ?? [];
  return { shown: !tag.includes('type="hidden"'), label };
}
