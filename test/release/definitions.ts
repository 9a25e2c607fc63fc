/** What the built editor pages define, run as a browser would run them: the settings of each node. */
import fs from 'node:fs/promises';
import path from 'node:path';
import vm from 'node:vm';
import { build } from '../../scripts/build';
import { ROOT } from '../../scripts/build/paths';
import { shippedNodes } from '../support/shipped-nodes';

export interface Definition {
  readonly category: string;
  readonly defaults: Readonly<Record<string, { readonly value?: unknown; readonly type?: string }>>;
  readonly credentials?: Readonly<Record<string, unknown>>;
}

const SCRIPT = /<script.+?type=['"]text\/javascript['"].*?>([\S\s]*?)<\/script>/gi;

/** By type; builds where dist/ is older than the sources. */
export async function definitions(): Promise<Map<string, Definition>> {
  await build();
  const found = new Map<string, Definition>();
  const RED = {
    _: (key: string) => key,
    nodes: { registerType: (type: string, definition: Definition) => void found.set(type, definition) },
    view: {},
    events: { on: () => undefined },
    utils: {},
  };
  for (const file of Object.values(await shippedNodes())) {
    const page = await fs.readFile(path.join(ROOT, file.replace(/\.js$/, '.html')), 'utf8');
    for (const [, code] of page.matchAll(SCRIPT)) vm.runInNewContext(code ?? '', { RED });
  }
  return found;
}
