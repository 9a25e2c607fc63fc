/** Certificates made by openssl for one test: good ones, expired ones, and those of a stranger. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { requireProgram } from './missing';

/** Skips (in CI: fails) where openssl is absent. */
export function opensslMissing(context: Mocha.Context): void {
  requireProgram(context, 'openssl');
}

/** Paths of PEM files. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export interface Certificates {
  /** What a client must trust. */
  readonly ca: string;
  /** For `localhost` and 127.0.0.1, signed by `ca`. */
  readonly good: Certificate;
  /** The same, but its time was over in 2021. */
  readonly expired: Certificate;
  /** Signed by itself: nobody trusts it. */
  readonly untrusted: Certificate;
}

/** Makes them in a folder (a second or less). */
export function makeCertificates(folder: string): Certificates {
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  };
  const file = (name: string): string => path.join(folder, name);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const selfSigned = (name: string, ...more: string[]): void =>
    openssl(
      'req',
      '-x509',
      ...newKey,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
      '-days',
      '30',
      ...more,
    );
  const signed = (name: string, start: string, end: string): Certificate => {
    openssl('req', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', '/CN=localhost');
    const dates = ['-startdate', start, '-enddate', end];
    openssl(
      'ca',
      '-batch',
      '-config',
      'ca.cnf',
      '-notext',
      ...dates,
      '-in',
      `${name}.csr`,
      '-out',
      `${name}.pem`,
    );
    return { cert: file(`${name}.pem`), key: file(`${name}.key`) };
  };
  fs.writeFileSync(file('ca.cnf'), CA_CONFIG);
  fs.writeFileSync(file('index.txt'), '');
  fs.writeFileSync(file('index.txt.attr'), 'unique_subject = no\n');
  fs.writeFileSync(file('serial'), '01\n');
  selfSigned('ca', '-subj', '/CN=Test CA');
  selfSigned('untrusted', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1');
  return {
    ca: file('ca.pem'),
    good: signed('good', '20200101000000Z', '20491231000000Z'),
    expired: signed('expired', '20200101000000Z', '20210101000000Z'),
    untrusted: { cert: file('untrusted.pem'), key: file('untrusted.key') },
  };
}

const CA_CONFIG = `[ca]
default_ca = test
[test]
database = index.txt
serial = serial
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
default_md = sha256
policy = any
x509_extensions = server
[any]
commonName = supplied
[server]
subjectAltName = DNS:localhost,IP:127.0.0.1
`;
