/** The nodes that this package brings, as package.json names them. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { ROOT } from '../../scripts/build/paths';

/** Type and file (relative to the project) of each. */
export async function shippedNodes(): Promise<Record<string, string>> {
  const text = await fs.readFile(path.join(ROOT, 'package.json'), 'utf8');
  return (JSON.parse(text) as { 'node-red': { nodes: Record<string, string> } })['node-red'].nodes;
}
