/** Certificates in a folder of their own, for one test. */
import { type Certificates, makeCertificates, opensslMissing } from '../support/certificates';
import { temporaryFolder } from '../support/temporary-folder';

export async function certificatesOf(
  context: Mocha.Context,
): Promise<Certificates & { stop(): Promise<void> }> {
  opensslMissing(context);
  const folder = await temporaryFolder('ota-certificates-');
  return { ...makeCertificates(folder.path), stop: () => folder.stop() };
}
