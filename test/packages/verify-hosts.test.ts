/** Which hosts are asked: schemes, names, local addresses in every spelling, redirects, credentials, TLS. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { hostsRule } from '../../nodes/lib/rules';
import {
  checkUrl,
  guardedLookup,
  type HostRules,
  isLocalAddress,
  isLocalHost,
} from '../../nodes/lib/packages/transfer/hosts';
import { httpGet } from '../../nodes/lib/packages/transfer/http';
import type { OtaError } from '../../nodes/lib/protocol';
import { makeCertificates, opensslMissing } from '../support/certificates';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';
import { digestOf, FIRMWARE, startVerifier, upgradeTo } from './support/packages';
import { type Answer, good, resetWhenRead, startServer, status } from './support/server';

const later = cleanup();
const OPEN: HostRules = { allowedHosts: [], allowLocal: false };

describe('the host of a package', () => {
  const refused = (url: string, rules = OPEN): string => {
    try {
      checkUrl(url, rules);
      return 'taken';
    } catch (error) {
      return (error as OtaError).code;
    }
  };

  it('is reached by http or https only', () => {
    for (const url of [
      'file:///etc/passwd',
      'ftp://h/x',
      'data:text/plain,x',
      'javascript:1',
      'fw.bin',
      '//h/x',
    ]) {
      assert.equal(refused(url), 'OTA_BAD_URL', url);
    }
    assert.equal(refused('HTTPS://files.example.com/x'), 'taken');
  });

  const LOCAL = [
    '127.0.0.1',
    '127.8.9.10',
    '2130706433',
    '0x7f000001',
    '0x7f.1',
    '0177.0.0.1',
    '127.1',
    '0',
    '0.0.0.0',
    '169.254.169.254',
    '2852039166',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::127.0.0.1]',
    '[0:0:0:0:0:0:0:1]',
    '[fe80::1]',
    '[febf::1]',
    '[64:ff9b::127.0.0.1]',
    '[64:ff9b::a9fe:a9fe]',
    '[64:ff9b:1::127.0.0.1]',
    '[::ffff:0:127.0.0.1]',
    '[2002:7f00:1::]',
    '[::ffff:169.254.169.254]',
    '１２７.0.0.1',
    '127.0.0.1.',
    'localhost',
    'LocalHost.',
    'a.localhost',
  ];
  for (const host of LOCAL) {
    it(`is refused as ${host}`, () => {
      assert.equal(refused(`http://${host}/fw`), 'OTA_HOST_REFUSED');
      assert.equal(refused(`http://${host}/fw`, { ...OPEN, allowLocal: true }), 'taken');
    });
  }

  it('may be in a private network', () => {
    for (const host of [
      '10.0.0.1',
      '192.168.1.1',
      '172.16.0.1',
      '[fd00::1]',
      '128.0.0.1',
      '[2001:db8::1]',
      'localhost.example.com',
      'xlocalhost',
    ]) {
      assert.equal(refused(`http://${host}/fw`), 'taken');
    }
  });

  it('is refused where its name resolves to a local address, also to one of several', async () => {
    const lookup = (...addresses: string[]): Promise<string> =>
      new Promise((resolve) => {
        const guarded = guardedLookup(OPEN, (_name, _options, done) =>
          done(
            null,
            addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
          ),
        );
        guarded('evil.example.com', { all: true }, (error) =>
          resolve((error as OtaError | null)?.code ?? 'taken'),
        );
      });
    assert.equal(await lookup('93.184.216.34'), 'taken');
    assert.equal(await lookup('93.184.216.34', '127.0.0.1'), 'OTA_HOST_REFUSED');
    assert.equal(await lookup('::ffff:127.0.0.1'), 'OTA_HOST_REFUSED');
    assert.equal(await lookup('fe80::1%eth0'), 'OTA_HOST_REFUSED');
  });

  it('is connected to at the address that was checked', (done) => {
    const guarded = guardedLookup(OPEN, (_name, _options, answer) =>
      answer(null, [{ address: '10.1.2.3', family: 4 }]),
    );
    guarded('files.example.com', {}, (error, address, family) => {
      done(error);
      assert.deepEqual([address, family], ['10.1.2.3', 4]);
    });
  });

  it('is refused as localhost when the download begins', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier({ allowLocal: false }));
    const error = await test.failure(upgradeTo(FIRMWARE, `http://localhost:${server.port}/fw`));
    assert.equal(error.code, 'OTA_HOST_REFUSED');
    assert.equal(server.asked.length, 0);
  });

  it('must be on the list, where there is one', () => {
    const rules = {
      ...OPEN,
      allowedHosts: hostsRule.read('files.example.com, *.ota.example.org\nBÜCHER.example').value ?? [],
    };
    for (const host of [
      'files.example.com',
      'FILES.example.com:8443',
      'a.ota.example.org',
      'b.a.ota.example.org',
      'xn--bcher-kva.example',
      'files.example.com.',
    ]) {
      assert.equal(refused(`https://${host}/x`, rules), 'taken', host);
    }
    for (const host of [
      'example.com',
      'xfiles.example.com',
      'files.example.com.evil.org',
      'ota.example.org',
      'xota.example.org',
      'evil.org',
    ]) {
      assert.equal(refused(`https://${host}/x`, rules), 'OTA_HOST_REFUSED', host);
    }
    assert.equal(refused('https://files.example.com@evil.org/x', rules), 'OTA_HOST_REFUSED');
  });

  it('is no host name with a scheme, a port or a path', () => {
    for (const text of [
      'https://a.example.com',
      'a.example.com:80',
      'a.example.com:8080',
      'u@h',
      'a/b',
      '*',
      'a.*.com',
      '*.',
    ]) {
      assert.equal(hostsRule.read(text).reason?.key, 'hosts', text);
    }
    assert.deepEqual(hostsRule.read(' \n, ').value, []);
  });
});

describe('a redirect', () => {
  const to = (location: string, code = 302): Answer => status(code, { Location: location });

  it('is followed, relative ones too', async () => {
    const server = later(
      await startServer([to('/a/b', 301), to('c', 307), to('../fw', 308), good(FIRMWARE)]),
    );
    const test = later(await startVerifier());
    await test.verify(upgradeTo(FIRMWARE, `${server.url}/x`));
    assert.deepEqual(
      server.asked.map(({ path }) => path),
      ['/x', '/a/b', '/a/c', '/fw'],
    );
  });

  it('is followed again with the range when a download goes on', async () => {
    const half: Answer = (socket, asked) => {
      good(FIRMWARE)(
        Object.assign(Object.create(socket), {
          end: (data: Buffer) => socket.write(data.subarray(0, 50_000), () => resetWhenRead(socket)),
        }) as typeof socket,
        asked,
      );
    };
    const server = later(await startServer([to('/fw'), half, to('/fw'), good(FIRMWARE)]));
    await later(await startVerifier()).verify(upgradeTo(FIRMWARE, `${server.url}/x`));
    assert.ok((server.asked[3]!.from ?? 0) > 0);
  });

  it('is no endless loop', async () => {
    const server = later(await startServer(to('/again')));
    const test = later(await startVerifier({ maxRedirects: 3 }));
    assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_REDIRECT');
    assert.equal(server.asked.length, 4);
  });

  it('is not followed where none is wanted', async () => {
    const server = later(await startServer([to('/fw'), good(FIRMWARE)]));
    const test = later(await startVerifier({ maxRedirects: 0 }));
    assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_REDIRECT');
  });

  it('without a place to go is refused', async () => {
    const server = later(await startServer(status(302)));
    assert.equal(
      (await later(await startVerifier()).failure(upgradeTo(FIRMWARE, server.url))).code,
      'OTA_REDIRECT',
    );
  });

  it('to another scheme is refused', async () => {
    for (const location of ['file:///etc/passwd', 'ftp://127.0.0.1/x', 'data:,x']) {
      const server = later(await startServer(to(location)));
      const test = later(await startVerifier());
      assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_BAD_URL');
    }
  });

  it('to a host that is not on the list is refused', async () => {
    const server = later(await startServer([to('http://127.0.0.2:1/fw')]));
    const test = later(await startVerifier({ allowedHosts: ['127.0.0.1'] }));
    assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_HOST_REFUSED');
  });

  it('to a local address is refused where only the first host may be one, unless it is the same', async () => {
    const rules = { allowedHosts: [], allowLocal: true, allowLocalRedirects: false, maxRedirects: 3 };
    const { signal } = new AbortController();
    const server = later(await startServer(good(FIRMWARE)));
    for (const host of ['127.0.0.2', '0x7f.2', 'localhost', '[::1]', '169.254.169.254']) {
      const first = later(await startServer(to(`http://${host}:${server.port}/`)));
      const asking = httpGet(new URL(first.url), {}, rules, signal);
      await assert.rejects(asking, { code: 'OTA_HOST_REFUSED' }, host);
    }
    assert.equal(server.asked.length, 0);
    const otherPort = later(await startServer(to(server.url)));
    await assert.rejects(httpGet(new URL(otherPort.url), {}, rules, signal), { code: 'OTA_HOST_REFUSED' });
    const same = later(await startServer([to('/fw'), good(FIRMWARE)]));
    const answer = await httpGet(new URL(same.url), {}, rules, signal);
    answer.body.destroy();
    assert.equal(answer.status, 200);
  });

  it('keeps the login on its own host and drops it on another', async () => {
    const login = `Basic ${Buffer.from('us er:p@ss').toString('base64')}`;
    const server = later(
      await startServer((socket, asked) => {
        const port = socket.localPort ?? 0;
        const target = { '/a': '/b', '/b': `http://localhost:${port}/c` }[asked.path];
        return target === undefined ? good(FIRMWARE)(socket, asked) : to(target)(socket, asked);
      }),
    );
    const url = `http://us%20er:p%40ss@127.0.0.1:${server.port}/a`;
    await later(await startVerifier()).verify(upgradeTo(FIRMWARE, url));
    assert.deepEqual(
      server.asked.map(({ headers }) => headers['authorization']),
      [login, login, undefined],
    );
  });
});

describe('a password in the URL', () => {
  it('is in no error', async () => {
    const server = later(await startServer(status(404)));
    const url = server.url.replace('http://', 'http://user:top-secret@');
    const closed = 'http://user:top-secret@127.0.0.1:1/fw';
    const local = later(await startVerifier({ retries: 0 }));
    const strict = later(await startVerifier({ allowedHosts: ['files.example.com'] }));
    const errors = [
      await local.failure(upgradeTo(FIRMWARE, url)),
      await local.failure(upgradeTo(FIRMWARE, closed)),
      await local.failure(upgradeTo(FIRMWARE, 'ftp://user:top-secret@host/')),
      await local.failure(upgradeTo(FIRMWARE, 'http://user:top-secret@ho st/')),
      await strict.failure(upgradeTo(FIRMWARE, url)),
    ];
    for (const error of errors) {
      const { inspect } = await import('node:util');
      assert.doesNotMatch(inspect(error, { depth: 10 }), /top-secret|dXNlcjp0b3Atc2VjcmV0/);
    }
  });
});

describe('TLS', () => {
  it('trusts the CA that it was given, and no other server', async function () {
    opensslMissing(this);
    const folder = later(await temporaryFolder());
    const made = makeCertificates(folder.path);
    const pem = (file: string): Buffer => fs.readFileSync(file);
    const serve = (pair: { cert: string; key: string }) =>
      startServer(good(FIRMWARE), { cert: pem(pair.cert), key: pem(pair.key) });
    // Each with a folder of its own: a package that lies there verified is not fetched again.
    const trustingOne = async () => later(await startVerifier({ tls: () => ({ ca: pem(made.ca) }) }));
    const trusting = await trustingOne();
    const plain = later(await startVerifier());
    const ok = later(await serve(made.good));
    await trusting.verify(upgradeTo(FIRMWARE, ok.url));
    assert.equal((await plain.failure(upgradeTo(FIRMWARE, ok.url))).code, 'OTA_TLS');
    for (const bad of [made.expired, made.untrusted]) {
      const server = later(await serve(bad));
      const another = await trustingOne();
      assert.equal((await another.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_TLS');
    }
    const noTls = later(await startServer(good(FIRMWARE)));
    const wrong = await plain.failure(upgradeTo(FIRMWARE, noTls.url.replace('http:', 'https:')));
    assert.equal(wrong.code, 'OTA_TLS');
  });

  it('says at once that its own certificate or key is of no use', async function () {
    opensslMissing(this);
    const folder = later(await temporaryFolder());
    const made = makeCertificates(folder.path);
    const [cert, key, other] = [made.good.cert, made.good.key, made.untrusted.key].map((file) =>
      fs.readFileSync(file),
    );
    const server = later(await startServer(good(FIRMWARE), { cert, key }));
    const locked = execFileSync('openssl', ['pkcs8', '-topk8', '-in', made.good.key, '-passout', 'pass:abc']);
    for (const own of [
      { cert: 'none', key },
      { cert, key: 'none' },
      { cert, key: other },
      { cert, key: locked, passphrase: 'other' },
    ]) {
      const test = later(await startVerifier({ tls: () => own }));
      const error = await test.failure(upgradeTo(FIRMWARE, server.url));
      assert.deepEqual([error.code, /TLS configuration/.test(error.message)], ['OTA_TLS', true]);
      assert.doesNotMatch(error.message, /Tried/);
    }
  });

  it('never goes on to http', async function () {
    opensslMissing(this);
    const folder = later(await temporaryFolder());
    const made = makeCertificates(folder.path);
    const target = later(await startServer(good(FIRMWARE)));
    const pair = { cert: fs.readFileSync(made.good.cert), key: fs.readFileSync(made.good.key) };
    const server = later(await startServer(status(302, { Location: `${target.url}/fw` }), pair));
    const test = later(await startVerifier({ tls: () => ({ ca: fs.readFileSync(made.ca) }) }));
    assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_REDIRECT');
    assert.equal(target.asked.length, 0);
  });

  it('shows the client certificate to its own host, not to where it is redirected', async function () {
    opensslMissing(this);
    const folder = later(await temporaryFolder());
    const made = makeCertificates(folder.path);
    const [cert, key, ca] = [made.good.cert, made.good.key, made.ca].map((file) => fs.readFileSync(file));
    const shown: boolean[] = [];
    const wants = { cert, key, ca, requestCert: true, rejectUnauthorized: false };
    const server = later(
      await startServer((socket, asked) => {
        const peer = (socket as import('node:tls').TLSSocket).getPeerCertificate();
        shown.push(Object.keys(peer).length > 0);
        if (asked.path === '/fw') return good(FIRMWARE)(socket, asked);
        return status(302, { Location: `https://localhost:${socket.localPort ?? 0}/fw` })(socket, asked);
      }, wants),
    );
    const { good: pair } = made;
    const pkcs12 = ['pkcs12', '-export', '-in', pair.cert, '-inkey', pair.key, '-passout', 'pass:'];
    const pfx = execFileSync('openssl', pkcs12);
    // Whatever form a tls-config node knows.
    for (const own of [
      { ca, cert, key },
      { ca, pfx },
    ]) {
      shown.length = 0;
      const test = later(await startVerifier({ tls: () => own }));
      const { digest } = await test.verify(upgradeTo(FIRMWARE, server.url));
      assert.deepEqual([digest, shown], [digestOf(FIRMWARE), [true, false]]);
    }
  });
});

describe('another port of the same host', () => {
  it('is shown no client certificate', async function () {
    opensslMissing(this);
    const folder = later(await temporaryFolder());
    const made = makeCertificates(folder.path);
    const [cert, key, ca] = [made.good.cert, made.good.key, made.ca].map((file) => fs.readFileSync(file));
    const shown: string[] = [];
    const wants = { cert, key, ca, requestCert: true, rejectUnauthorized: false };
    const note = (who: string, socket: import('node:net').Socket): void => {
      const peer = (socket as import('node:tls').TLSSocket).getPeerCertificate();
      shown.push(`${who} ${Object.keys(peer).length > 0}`);
    };
    const other = later(
      await startServer((socket, asked) => {
        note('other', socket);
        return good(FIRMWARE)(socket, asked);
      }, wants),
    );
    const own = later(
      await startServer((socket, asked) => {
        note('own', socket);
        return status(302, { Location: `${other.url}/fw` })(socket, asked);
      }, wants),
    );
    const test = later(await startVerifier({ tls: () => ({ ca, cert, key }) }));
    const { digest } = await test.verify(upgradeTo(FIRMWARE, own.url));
    assert.equal(digest, digestOf(FIRMWARE));
    assert.deepEqual(shown, ['own true', 'other false']);
  });
});

describe('a local address', () => {
  it('is told from one that is not', () => {
    assert.equal(isLocalAddress('127.0.0.1'), true);
    assert.equal(isLocalAddress('::ffff:10.0.0.1'), false);
    assert.equal(isLocalAddress('2001:db8::1'), false);
  });

  it('is seen in a URL that names one', () => {
    for (const host of ['localhost', 'LOCALHOST.', 'a.localhost', '127.1', '[::1]', '169.254.1.1']) {
      assert.equal(isLocalHost(new URL(`http://${host}/`)), true, host);
    }
    for (const host of ['example.com', 'localhost.example.com', 'notlocalhost', '10.0.0.1', '[fd00::1]']) {
      assert.equal(isLocalHost(new URL(`http://${host}/`)), false, host);
    }
  });
});
