/**
 * A newcomer's first upgrade, done in a real Chromium by somebody who has an empty Node-RED, the installed package
 * and a broker: every click is counted.
 */
import assert from 'node:assert/strict';
import type { Locator, Page } from 'playwright-core';
import { INSTALL_TIMEOUT_MS, startInstalled } from '../packed/installed';
import { requireChromium, startChromium } from '../support/browser';
import { cleanup } from '../support/cleanup';
import { connectClient, type TestClient } from '../support/client';
import { mosquittoMissing, startMosquitto } from '../support/mosquitto';
import type { NodeRed } from '../support/node-red';
import { until } from '../support/wait';

/** Half of what the front page's way by hand takes: 65 clicks and drags, 13 nodes. */
const HALF = { clicks: 32, nodes: 6 };

/** A person who is slow to count and never clicks in vain. */
class Newcomer {
  clicks = 0;
  constructor(readonly page: Page) {}

  async click(what: Locator): Promise<void> {
    await what.click();
    this.clicks += 1;
  }

  /** A click into the field, then typing. */
  async type(into: Locator, text: string): Promise<void> {
    await this.click(into);
    await into.fill(text);
  }
}

describe("a newcomer's first upgrade", function () {
  this.timeout(INSTALL_TIMEOUT_MS);
  const later = cleanup(after);
  let red: NodeRed;
  let wire: TestClient;
  let person: Newcomer;
  let port: number;

  before(async function () {
    requireChromium(this);
    mosquittoMissing(this);
    const broker = later(await startMosquitto());
    port = broker.port;
    wire = later(await connectClient(broker.url));
    await wire.subscribe('/ota/#');
    red = later(await startInstalled());
    const browser = await startChromium();
    later({ stop: () => browser.close() });
    const page = await browser.newPage({ locale: 'en-US', viewport: { width: 1400, height: 900 } });
    page.setDefaultTimeout(120_000);
    await page.goto(red.url, { timeout: 120_000 });
    await page.locator('#red-ui-loading-progress').waitFor({ state: 'hidden' });
    await page.locator('#menu-item-ota-first-upgrade').waitFor({ state: 'attached' });
    person = new Newcomer(page);
  });

  it('takes no node from the palette, and less than half of the clicks that it takes by hand', async () => {
    const { page } = person;
    await person.click(page.locator('#red-ui-header-button-sidemenu'));
    await person.click(page.locator('#menu-item-ota-first-upgrade'));
    await person.type(page.locator('#ota-start-port'), String(port));
    await person.click(page.locator('#ota-start-add'));
    const button = page.locator('.red-ui-flow-node-button');
    const inject = page.locator('.red-ui-flow-node-group', { hasText: 'upgrade demo-device-1', has: button });
    await inject.waitFor();
    await person.click(page.locator('#red-ui-header-button-deploy'));
    await seen('inform', /v1\.0/);
    await person.click(inject.locator('.red-ui-flow-node-button').first());
    await seen('upgrade', /v1\.1/);
    await seen('progress', /"100"/);
    await seen('inform', /v1\.1/);
    assert.ok(person.clicks <= HALF.clicks, `${person.clicks} clicks`);
  });

  it('leaves a calm canvas: no node says what is wrong', async () => {
    const statuses = person.page.locator('.red-ui-flow-node-status-label');
    const texts = (await statuses.allTextContents()).filter((text) => text !== '');
    assert.notEqual(texts.length, 0);
    assert.doesNotMatch(texts.join(), /not kept|failed|refused|unreachable|no access token/);
    assert.equal(await person.page.locator('.red-ui-flow-node-error:visible').count(), 0, 'no red triangle');
    const unused = await person.page.evaluate(() => {
      const found: string[] = [];
      RED.nodes.eachConfig((node) => {
        if (node.users.length === 0) found.push(node.type);
      });
      return found;
    });
    assert.deepEqual(unused, [], 'no config node that the editor calls unused');
  });

  it('adds no second broker and no second service the next time', async () => {
    const { page } = person;
    await person.click(page.locator('#red-ui-header-button-sidemenu'));
    await person.click(page.locator('#menu-item-ota-first-upgrade'));
    await person.click(page.locator('#ota-start-add'));
    await page.locator('.red-ui-tab-label', { hasText: 'Device' }).nth(1).waitFor();
    await person.click(page.locator('#red-ui-header-button-deploy'));
    const types = await until(async () => {
      const flows = (await red.get('/flows')) as { type: string }[];
      const all = flows.map(({ type }) => type);
      return all.filter((type) => type === 'tab').length >= 4 ? all : null;
    }, 'the second pair of flows');
    for (const type of ['mqtt-broker', 'ota-service'])
      assert.equal(types.filter((each) => each === type).length, 1, type);
  });

  function seen(kind: string, text: RegExp): Promise<unknown> {
    return until(
      () => wire.messages.find((one) => one.topic.includes(`/${kind}/`) && text.test(one.text)),
      `${kind} with ${String(text)}`,
      60_000,
    );
  }
});
