/** libfaketime of Debian, wherever the processor's name puts it. */
import fs from 'node:fs';
import path from 'node:path';

const LIBRARIES = '/usr/lib';

/** The library to preload, or undefined where it isn't installed. `threads`: the one for programs with many threads. */
export function fakeTime({ threads = false } = {}): string | undefined {
  const name = threads ? 'libfaketimeMT.so.1' : 'libfaketime.so.1';
  if (!fs.existsSync(LIBRARIES)) return undefined;
  return fs
    .readdirSync(LIBRARIES)
    .map((folder) => path.join(LIBRARIES, folder, 'faketime', name))
    .find((file) => fs.existsSync(file));
}
