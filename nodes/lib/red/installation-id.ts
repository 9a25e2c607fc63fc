/**
 * A random text that this installation of Node-RED keeps: part of client ids, so that a broker can keep a session
 * for them where nobody typed one. Owns its file in the user directory; made once, never changed.
 */
import crypto from 'node:crypto';
import path from 'node:path';
import type { NodeAPI } from 'node-red';
import { isObject } from '../protocol';
import { readFileIfAny, setAside, writeFileAtomic } from './atomic-file';

const FILE = 'ota/installation.json';
const VALID = /^[0-9a-f]{16}$/;

/**
 * The text, 16 hex digits. null where there is no user directory, or it can't be written: a new text at each start
 * would leave a session behind each time. A file that can't be read is set aside as `.bad`.
 */
export function installationId(RED: NodeAPI): string | null {
  const { userDir } = RED.settings as { userDir?: string };
  if (userDir === undefined || userDir === '') return null;
  const file = path.resolve(userDir, FILE);
  try {
    const text = readFileIfAny(file);
    const found = text === null ? null : parse(text);
    if (found !== null) return found;
    if (text !== null) setAside(file, new Error('It holds no id.'));
    const id = crypto.randomBytes(8).toString('hex');
    writeFileAtomic(file, `${JSON.stringify({ version: 1, id })}\n`);
    return id;
  } catch {
    return null;
  }
}

function parse(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text);
    const id = isObject(value) ? value['id'] : null;
    return typeof id === 'string' && VALID.test(id) ? id : null;
  } catch {
    return null;
  }
}
