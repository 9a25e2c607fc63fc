/** One demo at a time in a user directory: two Node-REDs would write the same flow file and the same database. */
import fs from 'node:fs/promises';

/**
 * Claims a folder for this process, and resolves with what gives it back.
 * @throws Error where a process that is still there has it
 */
export async function claim(folder: string): Promise<() => Promise<void>> {
  const file = `${folder}.pid`;
  const holder = Number(await fs.readFile(file, 'utf8').catch(() => ''));
  if (holder > 0 && holder !== process.pid && isThere(holder)) {
    throw new Error(`The demo runs already, as process ${holder}: end that one first, or remove ${file}.`);
  }
  await fs.writeFile(file, String(process.pid));
  return () => fs.rm(file, { force: true });
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
