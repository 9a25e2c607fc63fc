/** The package that the demo begins with, so that the first click can upgrade somebody. */
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { acquireLibrary, readFields } from '../../nodes/lib/packages/library';

const MEBIBYTE = 1024 ** 2;

/** Adds it where the user directory holds no package yet. Call it before Node-RED uses the folder. */
export async function addFirstPackage(userDir: string): Promise<void> {
  const lease = await acquireLibrary(path.join(userDir, 'ota/packages'));
  const { library } = lease;
  try {
    if (library.size > 0) return;
    const described = { name: 'demo-firmware', product: 'Demo device', version: 'v1.1' };
    await library.add({
      fields: readFields({ ...described, description: 'Two MiB of random bytes' }, { signMethod: 'SHA256' }),
      source: { kind: 'content', content: randomBytes(2 * MEBIBYTE) },
      privateKey: null,
      // Only the way in is checked: Node-RED's node puts its own address before it.
      baseUrl: 'http://127.0.0.1',
      maxBytes: 4 * MEBIBYTE,
      hosts: { allowedHosts: [], allowLocal: false },
      stop: new AbortController().signal,
      onBytes: () => undefined,
    });
  } finally {
    lease.release();
  }
}
