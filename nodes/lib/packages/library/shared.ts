/** One Library for each folder, whoever uses it: two would not see each other's changes. */
import fs from 'node:fs/promises';
import path from 'node:path';
import type { OtaError } from '../../protocol';
import { makeDirectory } from '../transfer/files';
import { folderError } from './folder-errors';
import { Library } from './library';

export interface LibraryLease {
  readonly library: Library;
  /** Packages that can't be read; told to the first user only. */
  readonly faults: readonly OtaError[];
  /** To be called once. The library goes when nobody uses it and nothing is under way. */
  release(): void;
}

interface Shared {
  readonly opened: Promise<{ library: Library; faults: OtaError[] }>;
  users: number;
}

const libraries = new Map<string, Shared>();

/** Opens the library of a folder, or joins its other users. @throws OtaError OTA_FILE, OTA_DISK_FULL */
export async function acquireLibrary(directory: string): Promise<LibraryLease> {
  const key = await realFolder(directory);
  const known = libraries.get(key);
  const shared = known ?? { opened: Library.open(key), users: 0 };
  libraries.set(key, shared);
  shared.users += 1;
  try {
    const { library, faults } = await shared.opened;
    return {
      library,
      faults: faults.splice(0),
      release: () => {
        shared.users -= 1;
        void library.idle().then(() => forget(key, shared));
      },
    };
  } catch (error) {
    shared.users -= 1;
    forget(key, shared);
    throw error;
  }
}

function forget(key: string, shared: Shared): void {
  if (shared.users === 0 && libraries.get(key) === shared) libraries.delete(key);
}

/** Two paths may lead to one folder. */
async function realFolder(directory: string): Promise<string> {
  try {
    await makeDirectory(directory);
    return await fs.realpath(path.resolve(directory));
  } catch (error) {
    throw folderError(error);
  }
}
