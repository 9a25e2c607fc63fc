/** A login for the console, as the documentation gives it: it guards pages and connection, and lets devices pass. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes, scryptSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { Browser } from 'playwright-core';
import { startChromium } from '../support/browser';
import { cleanup } from '../support/cleanup';
import { requireProgram } from '../support/missing';
import { startNginx } from '../support/nginx';
import { blockOf, readPage } from '../support/docs';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { type Console, requireChromium, startConsole, word } from './support';
import { openSocket } from './socket-client';

const PAGE = 'console-login';
const PASSWORD = 'correct horse';
const basic = (name: string, password: string): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
const ALICE = basic('alice', PASSWORD);

/** What the documentation says to write into settings.js, and Alice's entry. */
async function documentedLogin(names: 'both' | 'page'): Promise<Parameters<typeof startConsole>[1]> {
  const text = readPage('en-US', PAGE);
  const code = blockOf(text, 'cjs', /^const crypto/);
  const both = blockOf(text, 'cjs', /^ *httpNodeAuth,/);
  const salt = randomBytes(16).toString('hex');
  const entry = `${salt}:${scryptSync(PASSWORD, salt, 32).toString('hex')}`;
  return {
    settingsCode: { code, settings: names === 'both' ? both : 'httpNodeAuth' },
    env: { OTA_LOGIN_ALICE: entry },
  };
}

/** The id of the node that is a page of the console. */
const idOf = (ota: Console, name: string): string =>
  ota.flow.find((node) => node.type === 'ui-template' && node['name'] === name)?.id ?? '';

describe('the login that the documentation gives', function () {
  this.timeout(240_000);
  const later = cleanup(after);
  let ota: Console;
  let browser: Browser;
  before(async function () {
    requireChromium(this);
    ota = later(await startConsole('console', await documentedLogin('both')));
    browser = await startChromium();
    later({ stop: () => browser.close() });
  });

  it('lets nobody see a page, and nobody open the connection, without it', async () => {
    assert.equal((await fetch(`${ota.red.url}/dashboard/packages`)).status, 401);
    const stranger = await openSocket(ota.red.url);
    assert.match(stranger.refused ?? '', /login/);
  });

  it('takes no wrong password and no unknown name', async () => {
    for (const wrong of [
      basic('alice', 'guess'),
      basic('bob', PASSWORD),
      basic('__proto__', ''),
      'Basic !',
      basic('alice', ''),
    ]) {
      const answer = await fetch(`${ota.red.url}/dashboard/packages`, { headers: { authorization: wrong } });
      assert.equal(answer.status, 401, wrong);
      assert.match((await openSocket(ota.red.url, { authorization: wrong })).refused ?? '', /login/, wrong);
    }
  });

  it('works in a browser once name and password were given: pages, connection, commands', async () => {
    const context = await browser.newContext({ httpCredentials: { username: 'alice', password: PASSWORD } });
    const page = await context.newPage();
    page.setDefaultTimeout(120_000);
    await page.goto(`${ota.red.url}/dashboard/packages?lang=en-US`);
    await page.locator('.ota-page h1').waitFor();
    await page.getByText(word('en-US', 'packages.empty')).first().waitFor();
    assert.equal(await page.locator('.ota-notice').count(), 0);
    await context.close();
  });

  it('lets no other site open the connection with the login of a browser', async () => {
    const foreign = await openSocket(ota.red.url, { authorization: ALICE, origin: 'https://evil.example' });
    assert.match(foreign.refused ?? '', /another site/);
  });

  it('keeps away from Dashboard what would end Node-RED', async () => {
    const socket = await openSocket(ota.red.url, { authorization: ALICE });
    assert.equal(socket.refused, null);
    await socket.emit('widget-load', {});
    await socket.emit('widget-load', null);
    await socket.emit('widget-load', idOf(ota, 'Packages'));
    await until(() => socket.received.some((text) => text.includes('widget-load:')), 'Dashboard to answer');
    assert.equal(ota.red.running, true);
    socket.stop();
  });

  it('asks no device that fetches a package for it, and serves nothing else without it', async () => {
    const anything = await fetch(`${ota.red.url}/ota/files/nobody-knows/it.bin`);
    assert.equal(anything.status, 404);
    for (const path of [
      '/ota/files/',
      '/ota/files/a',
      '/ota/files/a/b/c',
      '/ota/files/a/..%2f..%2fdashboard',
    ]) {
      const { status } = await fetch(ota.red.url + path);
      assert.ok(status === 401 || status === 404, `${path}: ${status}`);
    }
    assert.equal((await fetch(`${ota.red.url}/ota/files/a/b`, { method: 'POST' })).status, 401);
  });
});

describe('a login that guards the pages of the console only', function () {
  this.timeout(240_000);
  const later = cleanup(after);
  let ota: Console;
  let browser: Browser;
  before(async function () {
    requireChromium(this);
    ota = later(await startConsole('console', await documentedLogin('page')));
    browser = await startChromium();
    later({ stop: () => browser.close() });
  });

  it('is told on every page, and nothing that a page asks is done', async () => {
    const context = await browser.newContext({ httpCredentials: { username: 'alice', password: PASSWORD } });
    const page = await context.newPage();
    page.setDefaultTimeout(120_000);
    await page.goto(`${ota.red.url}/dashboard/tasks?lang=en-US`);
    await page.getByText(word('en-US', 'login.socket-open')).waitFor();
    await context.close();
  });

  it('gives a stranger who reaches the port nothing: neither lists nor commands', async () => {
    const stranger = await openSocket(ota.red.url);
    assert.equal(stranger.refused, null);
    for (const [name, topic] of [
      ['Packages', 'list'],
      ['Tasks', 'list'],
    ] as const) {
      const id = idOf(ota, name);
      await stranger.emit('widget-action', id, {
        topic,
        ask: { n: 1 },
        payload: { page: 1, pageSize: 20 },
        _client: { login: 'guarded', operator: 'alice' },
      });
      const answer = await until(
        () => stranger.received.find((text) => text.includes(`msg-input:${id}`) && text.includes('"ask"')),
        `an answer to ${name}`,
      );
      assert.match(answer, /OTA_CONSOLE_LOGIN/);
      assert.doesNotMatch(answer, /"payload":/);
    }
    stranger.stop();
  });
});

describe('the reverse proxy that the documentation gives', function () {
  this.timeout(240_000);
  const later = cleanup(after);
  before(function () {
    requireChromium(this);
    requireProgram(this, 'nginx', 'nginx-light');
    requireProgram(this, 'openssl');
  });

  it('asks for the login in front of pages and connection, and lets devices fetch packages', async () => {
    const ota = later(await startConsole());
    const folder = later(await temporaryFolder('ota-nginx-'));
    const users = `${folder.path}/ota.htpasswd`;
    const hash = execFileSync('openssl', ['passwd', '-apr1', PASSWORD], { encoding: 'utf8' }).trim();
    writeFileSync(users, `alice:${hash}\n`);
    const conf = blockOf(readPage('en-US', PAGE), 'nginx')
      .replaceAll('http://127.0.0.1:1880', ota.red.url)
      .replaceAll('/etc/nginx/ota.htpasswd', users);
    const nginx = later(await startNginx(folder.path, conf));
    assert.equal((await fetch(`${nginx.url}/dashboard/packages`)).status, 401);
    assert.notEqual((await openSocket(nginx.url)).refused, null);
    assert.equal((await fetch(`${nginx.url}/ota/files/nobody-knows/it.bin`)).status, 404);
    const inside = await openSocket(nginx.url, { authorization: ALICE });
    assert.equal(inside.refused, null);
    inside.stop();
    const browser = await startChromium();
    try {
      const context = await browser.newContext({
        httpCredentials: { username: 'alice', password: PASSWORD },
      });
      const page = await context.newPage();
      page.setDefaultTimeout(120_000);
      await page.goto(`${nginx.url}/dashboard/packages?lang=en-US`);
      await page.getByText(word('en-US', 'packages.empty')).first().waitFor();
    } finally {
      await browser.close();
    }
  });
});
