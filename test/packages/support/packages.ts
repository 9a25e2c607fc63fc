/** Packages to verify, and a verifier with a folder of its own that doesn't wait between its tries. */
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { Verifier, type VerifierOptions, type VerifyRequest } from '../../../nodes/lib/packages/verify';
import type { OtaError } from '../../../nodes/lib/protocol';
import { temporaryFolder } from '../../support/temporary-folder';

export const FIRMWARE = randomBytes(100_000);

export function digestOf(body: Uint8Array, method: 'md5' | 'sha256' = 'sha256'): string {
  return createHash(method).update(body).digest('hex');
}

/** An upgrade to `body` as ota-push would give it. */
export function upgradeTo(body: Uint8Array, url: string, fields: object = {}): Record<string, unknown> {
  return {
    id: '1472583690',
    code: 200,
    module: 'MCU',
    version: 'v1.1',
    size: body.length,
    url,
    signMethod: 'SHA256',
    sign: digestOf(body),
    extData: {},
    ...fields,
  };
}

export interface TestVerifier {
  readonly verifier: Verifier;
  readonly directory: string;
  readonly faults: OtaError[];
  verify(upgrade: unknown, more?: Partial<VerifyRequest>): ReturnType<Verifier['verify']>;
  /** The error that it must end in. */
  failure(upgrade: unknown, more?: Partial<VerifyRequest>): Promise<OtaError>;
  /** Names in the folder. */
  files(): Promise<string[]>;
  /** Names of verified files. */
  finished(): Promise<string[]>;
  stop(): Promise<void>;
}

export async function startVerifier(options: Partial<VerifierOptions> = {}): Promise<TestVerifier> {
  const folder = options.directory === undefined ? await temporaryFolder() : null;
  const directory = options.directory ?? path.join(folder?.path ?? '', 'downloads');
  const faults: OtaError[] = [];
  const verifier = new Verifier({
    source: 'url',
    owner: 'node-1',
    directory,
    retries: 3,
    // A loaded machine needs long for what is a moment elsewhere.
    stallMs: 60_000,
    totalMs: 240_000,
    maxBytes: 100_000_000,
    requireSign: true,
    allowedHosts: [],
    allowLocal: true,
    maxRedirects: 3,
    publicKeys: [],
    rollback: 'off',
    concurrency: 2,
    keep: 2,
    backoff: () => 0,
    onFault: (error) => faults.push(error),
    ...options,
  });
  const verify: TestVerifier['verify'] = (upgrade, more) =>
    verifier.verify({ upgrade, onBytes: () => {}, ...more });
  const files = async (): Promise<string[]> => {
    const made = await fs.stat(directory).catch(() => null);
    return made === null ? [] : (await fs.readdir(directory)).sort();
  };
  return {
    verifier,
    directory,
    faults,
    verify,
    failure: (upgrade, more) =>
      verify(upgrade, more).then(
        (verified) => Promise.reject(new Error(`verified ${verified.filename}`)),
        (error: unknown) => error as OtaError,
      ),
    files,
    finished: async () => (await files()).filter((name) => name.endsWith('.bin')),
    async stop() {
      await verifier.close();
      await folder?.stop();
    },
  };
}
