/** Folders that vanish after a test. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

export interface TemporaryFolder {
  readonly path: string;
  /** Removes it with all that is in it. */
  stop(): Promise<void>;
}

export async function temporaryFolder(name = 'ota-test-'): Promise<TemporaryFolder> {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), name));
  return {
    path: folder,
    stop: () => fs.rm(folder, { recursive: true, force: true, maxRetries: 5 }),
  };
}
