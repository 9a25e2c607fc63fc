/** Shorthands of these tests: a body on a topic of the documented scheme, read as from the wire. */
import assert from 'node:assert/strict';
import {
  checkUpgrade,
  createScheme,
  type Inform,
  type MessageKind,
  type OtaCode,
  OtaError,
  type Outgoing,
  type Progress,
  type ReadResult,
  readWire,
  type Refused,
  type SignMethodCase,
  type Scheme,
  type Upgrade,
  type UpgradeOut,
} from '../../nodes/lib/protocol';

export const TOKEN = 'device-1234';
export const scheme: Scheme = createScheme('thingspanel');

/** Text and bytes as they are, anything else as JSON. */
export function toBytes(body: unknown): Uint8Array {
  if (body instanceof Uint8Array) return body;
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
}

export function read(kind: MessageKind, body: unknown, retained = false): ReadResult {
  return readWire(scheme, scheme.topic(kind, TOKEN), toBytes(body), retained);
}

export function readInform(body: unknown, retained = false): Inform {
  const value = good(read('inform', body, retained));
  assert.equal(value.kind, 'inform');
  return value.message;
}

export function readProgress(body: unknown): Progress {
  const value = good(read('progress', body));
  assert.equal(value.kind, 'progress');
  return value.message;
}

export function readUpgrade(body: unknown): Upgrade {
  const value = good(read('upgrade', body));
  assert.equal(value.kind, 'upgrade');
  return value.message;
}

function good(result: ReadResult): Extract<ReadResult, { ok: true }>['value'] {
  assert.ok(result.ok, result.ok ? '' : (result.refused?.error.message ?? 'it says nothing'));
  return result.value;
}

/** Asserts that it was refused with this code, and gives what would be reported. */
export function refused(result: ReadResult, code: OtaCode): Refused {
  assert.ok(!result.ok && result.refused !== null, 'it was read');
  assert.equal(result.refused.error.code, code, result.refused.error.message);
  return result.refused;
}

/** For assert.throws: an OtaError with this code whose text fits. */
export function otaError(code: OtaCode, text = /./): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof OtaError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    return true;
  };
}

/** A report, a push and a progress report as the documentation shows them. */
export const INFORM = { id: '1472583690', params: { version: 'v1.0.1', module: 'default' } };
export const MD5 = 'd41d8cd98f00b204e9800998ecf8427e';
export const SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
export const UPGRADE = {
  id: '1472583690',
  code: 200,
  params: {
    version: 'v1.1',
    size: 432945,
    url: 'https://example.com/files/a.zip',
    signMethod: 'Md5',
    sign: MD5,
    module: 'MCU',
    extData: { key1: 'value1', key2: 'value2' },
  },
};
export const PROGRESS = { step: '100', desc: 'upgrade 100%', module: 'MCU' };

/** A body with other params. */
export function withParams(body: { params: object }, params: object): object {
  return { ...body, params: { ...body.params, ...params } };
}

/** A body without one of its params. */
export function withoutParam(body: { params: object }, name: string): object {
  const params: Record<string, unknown> = { ...body.params };
  delete params[name];
  return { ...body, params };
}

export const writeInform = (message: Outgoing['inform']): string => scheme.write('inform', TOKEN, message);
export const writeProgress = (message: Outgoing['progress']): string =>
  scheme.write('progress', TOKEN, message);
export const upgradeWriter = (
  upgrade: UpgradeOut,
  signMethodCase: SignMethodCase = 'Md5',
): ((id: string) => string) => createScheme('thingspanel', {}, { signMethodCase }).prepare(upgrade).push;

/** What went out as a report or a push. */
export interface Sent {
  id: string;
  code: number;
  params: Record<string, unknown>;
}

export function sentUpgrade(input: object, md5?: SignMethodCase): Sent {
  return JSON.parse(upgradeWriter(checkUpgrade(input, true), md5)('1472583690')) as Sent;
}

export function sentInform(inform: { version: string; module?: string }): Sent {
  return JSON.parse(writeInform({ id: '1472583690', ...inform })) as Sent;
}

export function sentProgress(progress: Parameters<typeof writeProgress>[0]): Record<string, unknown> {
  return JSON.parse(writeProgress(progress)) as Record<string, unknown>;
}
