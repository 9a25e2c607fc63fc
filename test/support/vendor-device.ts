/**
 * A device that reads as Alibaba's C SDKs do: it knows no JSON, but searches the text for `"size":` and `"url":"` and
 * takes what stands there. It divides by the size, takes three spellings of a digest, and copies a url into 255 bytes.
 */
import crypto from 'node:crypto';
import { connectClient, type TestClient } from './client';
import { within } from './wait';

export interface VendorDeviceOptions {
  readonly broker: string;
  readonly productKey: string;
  readonly deviceName: string;
  readonly password: string;
  readonly version: string;
  /** null: the device itself. */
  readonly module: string | null;
}

/** What the program found in a message. */
export interface Found {
  readonly size: number;
  readonly version: string;
  readonly url: string;
  readonly signMethod: string;
  readonly sign: string;
  readonly module: string | null;
}

const URL_BYTES = 255;
const DIGESTS: Readonly<Record<string, string>> = { Md5: 'md5', SHA256: 'sha256', Sha256: 'sha256' };

/** What stands between two texts; null where the first isn't there. */
function between(text: string, start: string, end: string): string | null {
  const at = text.indexOf(start);
  if (at < 0) return null;
  const from = at + start.length;
  const to = text.indexOf(end, from);
  return to < 0 ? null : text.slice(from, to);
}

/** Reads a push or an answer; null where the program finds nothing to do. Throws where it would crash. */
export function readAsVendor(text: string): Found | null {
  const version = between(text, '"version":"', '"');
  const url = between(text, '"url":"', '"');
  const signMethod = between(text, '"signMethod":"', '"');
  const sign = between(text, '"sign":"', '"');
  const digits = /^\d+/.exec(text.slice(text.indexOf('"size":') + '"size":'.length))?.[0];
  if (version === null || url === null || signMethod === null || sign === null) return null;
  if (Buffer.byteLength(url) >= URL_BYTES) throw new Error('the buffer of the url is written beyond its end');
  const size = text.includes('"size":') ? Number(digits ?? 0) : 0;
  if (size === 0) throw new Error('a division by zero');
  if (DIGESTS[signMethod] === undefined) return null;
  return { size, version, url, signMethod, sign, module: between(text, '"module":"', '"') };
}

export class VendorDevice {
  readonly #options: VendorDeviceOptions;
  readonly #client: TestClient;
  #version: string;
  #id = 0;
  readonly texts: string[] = [];

  private constructor(options: VendorDeviceOptions, client: TestClient) {
    this.#options = options;
    this.#client = client;
    this.#version = options.version;
  }

  /** Connects as these devices log in, hears the topics that are given, and reports its version. */
  static async start(options: VendorDeviceOptions, topics: readonly string[]): Promise<VendorDevice> {
    const { productKey, deviceName, password, broker } = options;
    const username = `${deviceName}&${productKey}`;
    const client = await connectClient(broker, { username, password, clientId: `${username}|securemode=3|` });
    const device = new VendorDevice(options, client);
    for (const topic of topics) await client.subscribe(device.topic(topic));
    await device.#reportVersion();
    return device;
  }

  /** A topic with the device's names in it. */
  topic(template: string): string {
    const { productKey, deviceName } = this.#options;
    return template.replace('PK', productKey).replace('DN', deviceName);
  }

  /** Asks on a topic and waits for what comes on another (or the same): null where there is nothing to do. */
  async ask(on: string, answerOn: string): Promise<Found | null> {
    const { module } = this.#options;
    const params = module === null ? '{}' : `{"module":"${module}"}`;
    const id = this.#nextId();
    const text = `{"id":"${id}", "version":"1.0", "params":${params},"method":"thing.ota.firmware.get"}`;
    await this.#client.publish(this.topic(on), text);
    return this.#read(
      (received) => received.includes(`"id":"${id}"`) && received.includes('"data"'),
      answerOn,
    );
  }

  /** Waits for the next push. */
  async pushed(): Promise<Found | null> {
    return this.#read((text) => text.includes('"code":"1000"'), '/ota/device/upgrade/PK/DN');
  }

  /** Downloads, checks, reports 100 as "downloaded", and then the version that it runs after its restart. */
  async install(found: Found): Promise<void> {
    await this.#step(1);
    const response = await fetch(found.url);
    const body = Buffer.from(await response.arrayBuffer());
    const digest = crypto
      .createHash(DIGESTS[found.signMethod] ?? '')
      .update(body)
      .digest('hex');
    if (body.length !== found.size || digest !== found.sign) return this.#step(-3);
    await this.#step(100);
  }

  async restart(version: string): Promise<void> {
    this.#version = version;
    await this.#reportVersion();
  }

  stop(): Promise<void> {
    return this.#client.stop();
  }

  async #read(wanted: (text: string) => boolean, topic: string): Promise<Found | null> {
    const search = (): string | undefined =>
      this.#client.messages.find(({ text, topic: on }) => on === this.topic(topic) && wanted(text))?.text;
    const text = await within(
      new Promise<string>((resolve) => {
        const look = (): void => {
          const found = search();
          if (found === undefined) return;
          this.#client.client.off('message', look);
          resolve(found);
        };
        this.#client.client.on('message', look);
        look();
      }),
      `a message on ${topic}`,
    );
    this.texts.push(text);
    return readAsVendor(text);
  }

  async #reportVersion(): Promise<void> {
    const module = this.#options.module === null ? '' : `,"module":"${this.#options.module}"`;
    const text = `{"id":${this.#nextId()},"params":{"version":"${this.#version}"${module}}}\0`;
    await this.#client.publish(this.topic('/ota/device/inform/PK/DN'), text);
  }

  async #step(step: number): Promise<void> {
    const module = this.#options.module === null ? '' : `,"module":"${this.#options.module}"`;
    const text = `{"id":${this.#nextId()},"params":{"step":"${step}","desc":""${module}}}`;
    await this.#client.publish(this.topic('/ota/device/progress/PK/DN'), text);
  }

  #nextId(): number {
    this.#id += 1;
    return this.#id;
  }
}
