/** Several browsers, many devices, and a Node-RED that is deployed and killed under them. */
import assert from 'node:assert/strict';
import { cleanup } from '../support/cleanup';
import { until } from '../support/wait';
import {
  addPackage,
  type Console,
  deviceTalk,
  type Person,
  requireChromium,
  rowsFit,
  startConsole,
  startTask,
} from './support';

const DEVICES = 10_000;

describe('the console with 10,000 devices and several browsers', function () {
  this.timeout(240_000);
  const later = cleanup(after);
  let ota: Console;
  let talk: ReturnType<typeof deviceTalk>;
  let task: string;
  let first: Person;
  before(async function () {
    requireChromium(this);
    ota = later(await startConsole());
    talk = deviceTalk(ota.device);
    await Promise.all(Array.from({ length: DEVICES }, (_, i) => talk.inform(token(i), 'v1.0')));
    first = await ota.open('packages');
    await addPackage(first, 'v1.1');
  });

  const token = (i: number): string => `dev-${String(i).padStart(5, '0')}`;
  /** The numbers of questions or answers in frames of the socket. */
  const numbers = (frames: readonly string[]): number[] =>
    frames.flatMap((frame) => [...frame.matchAll(/"ask":\{"n":(\d+)/g)].map((found) => Number(found[1])));

  it('previews and starts a task of all, and sends a browser one page of them', async () => {
    task = await startTask(first, 'v1.1', { perMinute: '0' });
    await first.sees('10,000');
    await first.page.locator('.ota-tiles .pushed b', { hasText: '10,000' }).waitFor();
    await rowsFit(first, ({ length }) => length === 20, 'a page of devices');
    assert.equal(
      first.received.some((frame) => frame.includes(token(30))),
      false,
    );
  });

  it('turns pages', async () => {
    await first.sees(first.word('pager.page', { page: 1, pages: 500, total: DEVICES }));
    await first.button('pager.on').click();
    await first.row(token(20)).waitFor();
  });

  it('shows each of two browsers its own rows and nothing of the other', async () => {
    const [a, b] = [
      await ota.open(`devices?task=${task}&search=dev-01`),
      await ota.open(`devices?task=${task}&search=dev-02`),
    ];
    await a.row(token(1000)).waitFor();
    await b.row(token(2000)).waitFor();
    await talk.progress(token(1000), 40);
    await talk.progress(token(2000), 60);
    await a.row(token(1000)).getByText('40 %').waitFor();
    await b.row(token(2000)).getByText('60 %').waitFor();
    for (const [person, other] of [
      [a, 'dev-02'],
      [b, 'dev-01'],
    ] as const) {
      assert.ok((await person.rows()).every((row) => !row.includes(other)));
      assert.equal(
        person.received.some((frame) => frame.includes(`"accessToken":"${other}`)),
        false,
      );
    }
  });

  it('answers a browser what it asked itself, and a new one nothing of another', async () => {
    const fresh = await ota.open('simulator-is-not-here');
    await fresh.page.waitForTimeout(500);
    for (const person of [first, fresh]) {
      const asked = new Set(numbers(person.sent));
      assert.deepEqual(
        numbers(person.received).filter((n) => !asked.has(n)),
        [],
      );
    }
    assert.notEqual(numbers(first.received).length, 0);
  });

  it('asks for a page far more rarely than what is on it changes', async () => {
    const person = await ota.open(`devices?task=${task}&status=upgrading`);
    const before = numbers(person.sent).length;
    for (let i = 0; i < 3000; i += 1) await talk.progress(token(3000 + (i % 1000)), 1 + Math.floor(i / 1000));
    await until(async () => (await person.rows()).length === 20, 'devices that upgrade');
    const questions = numbers(person.sent).length - before;
    assert.ok(questions < 3000 / 10, `${questions} questions about 3000 changes`);
  });

  describe('keeps task, status, search, page and language', () => {
    const place = (): string => `devices?task=${task}&status=pushed&search=dev-0&page=2`;
    const isKept = async (person: Person): Promise<void> => {
      const query = new URL(person.page.url()).searchParams;
      assert.deepEqual(
        ['task', 'status', 'search', 'page', 'lang'].map((key) => query.get(key)),
        [task, 'pushed', 'dev-0', '2', 'zh-CN'],
      );
      await person.sees(person.word('devices.title'));
      await rowsFit(
        person,
        (rows) => rows.length === 20 && rows.every((row) => row.includes('已推送')),
        'the same view',
      );
      assert.equal(await person.field('devices.search').inputValue(), 'dev-0');
      assert.equal(await person.page.locator('.ota-tiles .pushed').getAttribute('aria-pressed'), 'true');
    };

    it('over a reload', async () => {
      const person = await ota.open(place(), { language: 'zh-CN' });
      await isKept(person);
      await person.page.reload();
      await isKept(person);
    });

    it('over a full deploy', async () => {
      const person = await ota.open(place(), { language: 'zh-CN' });
      await isKept(person);
      await ota.red.deploy(ota.flow);
      await isKept(person);
      await goesOn(person, 41);
    });

    it('over a SIGKILL of Node-RED, and says meanwhile that the connection is lost', async () => {
      const person = await ota.open(place(), { language: 'zh-CN' });
      await isKept(person);
      const again = ota.killAndStart();
      await person.sees(person.word('connection.lost'));
      await again;
      await person.page.getByText(person.word('connection.lost')).waitFor({ state: 'detached' });
      await isKept(person);
      await goesOn(person, 42);
    });

    it('and says that upgrades stand still while the broker is gone, to a new browser too', async () => {
      await ota.broker.stop();
      const said = first.word('trouble.connectionLost');
      for (const person of [first, await ota.open('tasks')]) {
        await until(async () => {
          const notices = await person.page.getByRole('alert').allInnerTexts();
          const reasons = [said, person.word('trouble.unreachable')];
          return notices.some((text) => reasons.some((reason) => text.includes(reason)));
        }, 'the notice');
      }
    });

    /** What changes now is seen. */
    async function goesOn(person: Person, step: number): Promise<void> {
      await person.page.locator('.ota-tiles .total').click();
      await person.field('devices.search').fill('dev-07777');
      await person.row('dev-07777').waitFor();
      await until(async () => {
        await talk.progress('dev-07777', step);
        return (await person.row('dev-07777').innerText()).includes(`${step} %`);
      }, 'the report to be seen');
    }
  });
});
