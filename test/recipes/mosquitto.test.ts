/** The documented settings for Mosquitto, given to a real one: a device may do what is its own, and nothing else. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { makeCertificates, opensslMissing } from '../support/certificates';
import { cleanup } from '../support/cleanup';
import { connectClient, type TestClient } from '../support/client';
import { dynsecPlugin } from '../support/dynsec';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { freePort } from '../support/ports';
import { blockOf, chapterOf, ORIGINAL } from '../support/docs';
import { temporaryFolder } from '../support/temporary-folder';

const run = promisify(execFile);
const PASSWORD = 'recipe-password';
const USERS = { platform: PASSWORD, 'device-1': PASSWORD, 'device-2': PASSWORD };

describe('the documented settings for Mosquitto', function () {
  this.timeout(240_000);
  const later = cleanup();
  let text: string;

  before(async function () {
    mosquittoMissing(this);
    text = chapterOf(ORIGINAL, 'brokers', 'Mosquitto');
  });

  const connect = async (broker: Mosquitto, username: string): Promise<TestClient> =>
    later(await connectClient(broker.url, { username, password: PASSWORD, protocolVersion: 5 }));

  /** The documented configuration, with the files of this test. */
  async function withAclFile(acl: string): Promise<Mosquitto> {
    const folder = later(await temporaryFolder('ota-acl-'));
    const file = path.join(folder.path, 'ota.acl');
    await fs.writeFile(file, acl);
    const config = blockOf(text, 'conf', /^listener/)
      .split('\n')
      // startMosquitto has a listener, and makes the passwords.
      .filter((line) => !/^(listener|allow_anonymous|password_file)/.test(line))
      .map((line) => line.replace(/^acl_file .*/, `acl_file ${file}`));
    return later(await startMosquitto({ users: USERS, config }));
  }

  const acl = (): string => blockOf(text, 'conf', /^pattern/m);

  /** Each speaks of its own device and of another; resolves with what each heard. */
  async function talk(broker: Mosquitto): Promise<Record<'platform' | 'device' | 'other', string[]>> {
    const platform = await connect(broker, 'platform');
    const one = await connect(broker, 'device-1');
    const two = await connect(broker, 'device-2');
    await platform.subscribe(['/ota/device/inform/+', '/ota/device/progress/+']);
    await one.subscribe('/ota/device/upgrade/device-1');
    // Refused by the reason code, or in silence by an acl_file: what arrives is what counts.
    const quietly = (done: Promise<void>): Promise<void> => done.catch(() => undefined);
    await quietly(two.subscribe(['/ota/device/upgrade/device-1', '#']));
    await quietly(two.publish('/ota/device/inform/device-1', 'forged'));
    await quietly(two.publish('/ota/device/progress/device-1', 'forged'));
    await quietly(two.publish('/ota/device/upgrade/device-1', 'forged'));
    await one.publish('/ota/device/inform/device-1', 'own inform');
    await one.publish('/ota/device/progress/device-1', 'own progress');
    await platform.publish('/ota/device/upgrade/device-1', 'own upgrade');
    await platform.atLeast(2);
    await one.atLeast(1);
    // The broker serves each client in order: what it had for device-2 came before this.
    await platform.publish('/ota/device/upgrade/device-2', 'the last');
    await quietly(two.subscribe('/ota/device/upgrade/device-2'));
    await platform.publish('/ota/device/upgrade/device-2', 'the last');
    await two.atLeast(1);
    const heard = (client: TestClient): string[] => client.messages.map(({ text: body }) => body);
    // Through "#" it may come more than once, before this or after it.
    return { platform: heard(platform), device: heard(one), other: [...new Set(heard(two))] };
  }

  const OWN = { platform: ['own inform', 'own progress'], device: ['own upgrade'], other: ['the last'] };

  it('bind a device to its token by its user name', async () => {
    assert.deepEqual(await talk(await withAclFile(acl())), OWN);
  });

  it('would not do so without them', async () => {
    const heard = await talk(later(await startMosquitto({ users: USERS })));
    for (const who of [heard.platform, heard.device, heard.other])
      assert.ok(who.includes('forged'), who.join());
  });

  it('bind it by its client id, as the documentation says', async () => {
    const broker = await withAclFile(acl().replaceAll('%u', '%c'));
    const named = async (clientId: string, username: string): Promise<TestClient> =>
      later(await connectClient(broker.url, { clientId, username, password: PASSWORD }));
    const platform = await named('p', 'platform');
    const device = await named('device-1', 'device-2');
    await platform.subscribe('/ota/device/inform/+');
    await device.publish('/ota/device/inform/device-2', 'of another id');
    await device.publish('/ota/device/inform/device-1', 'own');
    await platform.atLeast(1);
    assert.deepEqual(
      platform.messages.map(({ text: body }) => body),
      ['own'],
    );
  });

  it('keep a device from taking the platform’s place by its client id', async () => {
    const [first, second] = [await freePort(), await freePort()];
    const config = blockOf(text, 'conf', /^# Devices/)
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => line.replace('listener 1883', `listener ${first} 127.0.0.1`))
      .map((line) => line.replace('listener 1884', `listener ${second}`));
    later(await startMosquitto({ users: USERS, config }));
    const at = async (port: number, username: string): Promise<TestClient> =>
      later(
        await connectClient(`mqtt://127.0.0.1:${port}`, {
          clientId: 'the-platform',
          username,
          password: PASSWORD,
        }),
      );
    const platform = await at(second, 'platform');
    let closed = false;
    platform.client.on('close', () => (closed = true));
    const thief = await at(first, 'device-2');
    await platform.subscribe('/ota/device/inform/+');
    await thief.publish('/ota/device/inform/device-2', 'still here');
    await platform.atLeast(1);
    assert.equal(closed, false);
  });

  it('bind it with the dynamic security plug-in, by the documented commands', async () => {
    const folder = later(await temporaryFolder('ota-dynsec-'));
    const file = path.join(folder.path, 'dynamic-security.json');
    await run('mosquitto_ctrl', ['dynsec', 'init', file, 'admin', PASSWORD]);
    const broker = later(
      await startMosquitto({
        config: ['allow_anonymous false', `plugin ${dynsecPlugin()}`, `plugin_opt_config_file ${file}`],
      }),
    );
    await fs.writeFile(
      path.join(folder.path, 'mosquitto_ctrl'),
      `-h 127.0.0.1\n-p ${broker.port}\n-u admin\n-P ${PASSWORD}\n`,
    );
    const ctrl = (commands: string, token = ''): Promise<unknown> =>
      run('bash', ['-e', '-c', commands], {
        env: { ...process.env, XDG_CONFIG_HOME: folder.path, TOKEN: token, PASSWORD },
      });
    const commands = blockOf(text, 'sh', /dynsec/);
    for (const token of ['device-1', 'device-2']) await ctrl(commands, token);
    const platform = [
      'mosquitto_ctrl dynsec createRole platform',
      'mosquitto_ctrl dynsec addRoleACL platform subscribePattern "/ota/device/#" allow',
      'mosquitto_ctrl dynsec addRoleACL platform publishClientSend "/ota/device/upgrade/+" allow',
      'mosquitto_ctrl dynsec createClient platform -p "$PASSWORD"',
      'mosquitto_ctrl dynsec addClientRole platform platform',
    ];
    await ctrl(platform.join('\n'));
    assert.deepEqual(await talk(broker), OWN);
    const two = await connect(broker, 'device-2');
    await assert.rejects(two.publish('/ota/device/inform/device-1', 'forged'), 'refused openly');
  });

  it('bind it by its certificate, over TLS', async function () {
    opensslMissing(this);
    const folder = later(await temporaryFolder('ota-tls-'));
    const { ca, good } = makeCertificates(folder.path);
    const port = await freePort();
    const file = path.join(folder.path, 'ota.acl');
    await fs.writeFile(file, acl());
    const files: Record<string, string> = {
      cafile: ca,
      certfile: good.cert,
      keyfile: good.key,
      acl_file: file,
    };
    const config = blockOf(chapterOf(ORIGINAL, 'brokers', 'TLS'), 'conf')
      .trim()
      .split('\n')
      .map((line) => line.split(' '))
      .map(
        ([name = '', value = '']) =>
          `${name} ${name === 'listener' ? `${port} 127.0.0.1` : (files[name] ?? value)}`,
      );
    const broker = later(await startMosquitto({ users: USERS, config }));
    const platform = await connect(broker, 'platform');
    await platform.subscribe('/ota/device/inform/+');
    const [cert, key, trusted] = await Promise.all(
      [good.cert, good.key, ca].map((name) => fs.readFile(name)),
    );
    // Its common name is "localhost".
    const device = later(await connectClient(`mqtts://localhost:${port}`, { cert, key, ca: trusted }));
    await device.publish('/ota/device/inform/device-1', 'of another');
    await device.publish('/ota/device/inform/localhost', 'own');
    await platform.atLeast(1);
    assert.deepEqual(
      platform.messages.map(({ text: body }) => body),
      ['own'],
    );
  });
});
