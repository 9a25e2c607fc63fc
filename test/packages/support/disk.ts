/** A small disk: only root can have one. */
import { execFileSync } from 'node:child_process';
import { type TemporaryFolder, temporaryFolder } from '../../support/temporary-folder';

/** A tmpfs of so many megabytes; skips the test where it can't be mounted. */
export async function smallDisk(context: Mocha.Context, megabytes: number): Promise<TemporaryFolder> {
  const folder = await temporaryFolder();
  const options = ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder.path];
  try {
    execFileSync('mount', options, { stdio: 'pipe' });
  } catch {
    await folder.stop();
    console.warn('      skipped: a tmpfs can only be mounted by root: run this test in a container');
    context.skip();
  }
  return {
    path: folder.path,
    async stop() {
      execFileSync('umount', [folder.path]);
      await folder.stop();
    },
  };
}
