#!/usr/bin/env node
/**
 * The command `node-red-ota-keys`: makes an Ed25519 key pair for signed packages. Prints it, or writes it into a
 * folder. Must never overwrite a key: the old one can't be made again.
 */
import { generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const PRIVATE_FILE = 'ota-private.pem';
const PUBLIC_FILE = 'ota-public.pem';

const HELP = `Usage: node-red-ota-keys [folder]

Makes an Ed25519 key pair. Without a folder it is printed; with one it is written to
${PRIVATE_FILE} (readable by you only) and ${PUBLIC_FILE} there. Nothing is overwritten.

The private key belongs into ota-package, and nowhere else: who has it can sign packages.
The public key belongs into ota-verify of every device.
`;

/** Both keys as PEM. */
export function makeKeyPair(): { privateKey: string; publicKey: string } {
  return generateKeyPairSync('ed25519', {
    privateKeyEncoding: { format: 'pem', type: 'pkcs8' },
    publicKeyEncoding: { format: 'pem', type: 'spki' },
  });
}

/** Runs the command. @returns the exit code */
export function run(args: readonly string[], print: (text: string) => void): number {
  const [folder, ...more] = args;
  if (folder === '--help' || folder === '-h' || more.length > 0 || folder?.startsWith('-') === true) {
    print(HELP);
    return folder === '--help' || folder === '-h' ? 0 : 2;
  }
  const { privateKey, publicKey } = makeKeyPair();
  if (folder === undefined) {
    print(`Private key, for ota-package:\n\n${privateKey}\nPublic key, for ota-verify:\n\n${publicKey}`);
    return 0;
  }
  const files = [path.join(folder, PRIVATE_FILE), path.join(folder, PUBLIC_FILE)] as const;
  const there = files.find((file) => fs.existsSync(file));
  if (there !== undefined) {
    print(`${there} is there already: nothing was written.\n`);
    return 1;
  }
  try {
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(files[0], privateKey, { mode: 0o600, flag: 'wx' });
    fs.writeFileSync(files[1], publicKey, { flag: 'wx' });
  } catch (error) {
    print(`The keys could not be written: ${(error as Error).message}\n`);
    return 1;
  }
  print(`Private key, for ota-package: ${files[0]}\nPublic key, for ota-verify: ${files[1]}\n`);
  return 0;
}

if (require.main === module)
  process.exitCode = run(process.argv.slice(2), (text) => process.stdout.write(text));
