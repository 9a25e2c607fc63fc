/**
 * ota-verify: takes an upgrade, gets its package (or takes one that is here) and checks it. Output 1: a file
 * that is complete and verified; output 2: reports made for ota-progress, failures among them.
 */
import { createHash } from 'node:crypto';
import type { Node, NodeAPI, NodeDef } from 'node-red';
import { upgradeInterrupted, upgradesInUse } from '../lib/device';
import { type Proxy, parseProxy } from '../lib/packages/transfer/proxy';
import { parsePublicKeys } from '../lib/packages/verify/signature';
import {
  type Expectation,
  failureStep,
  isContentKnown,
  moduleOf,
  Progress,
  type Source,
  type TlsOptions,
  type Verified,
  Verifier,
} from '../lib/packages/verify';
import {
  cutDesc,
  field,
  isObject,
  type JsonObject,
  type OtaCode,
  OtaError,
  toOtaError,
} from '../lib/protocol';
import { derive, type Message, onClose, onInput, type Send } from '../lib/red/input';
import { statusOf } from '../lib/red/service';
import { settingsOf, settingsReader, textSetting } from '../lib/red/settings';
import { Status } from '../lib/red/status';
import { userFolder } from '../lib/red/user-directory';
import { VERIFY } from '../lib/rules';

interface Config extends NodeDef {
  readonly [setting: string]: unknown;
}

/** A core tls-config node. */
interface TlsConfigNode extends Node {
  readonly valid?: boolean;
  addTLSOptions(options: TlsOptions): TlsOptions;
}

module.exports = (RED: NodeAPI): void => {
  function OtaVerify(this: Node, config: Config): void {
    RED.nodes.createNode(this, config);
    const status = new Status(this);
    const work = start(RED, this, config);
    if (work instanceof OtaError) {
      status.failure(statusOf(work));
      // Catch nodes of the same flow may not be there yet.
      setImmediate(() => this.error(work, {} as never));
    }
    onInput(this, (msg, send) => handle(work, status, msg, send));
    onClose(this, async () => {
      status.close();
      if (!(work instanceof OtaError)) await work.verifier.close();
    });
  }

  RED.nodes.registerType('ota-verify', OtaVerify as never);
};

interface Work {
  readonly verifier: Verifier;
  readonly source: Source;
  readonly downloadShare: number;
  /** Says once for each deploy what is weak about a package. */
  readonly warn: (expected: Expectation) => void;
}

/** Settings that can't be used are returned as the error that answers every message. */
function start(RED: NodeAPI, node: Node, saved: Config): Work | OtaError {
  try {
    const config = settingsOf(RED, node, saved);
    const settings = RED.settings as { fileWorkingDirectory?: unknown };
    const read = settingsReader(VERIFY, config);
    const source = read('source');
    const directory = userFolder(RED, textSetting(config.directory), 'ota/downloads');
    const verifier = new Verifier({
      source,
      workingDirectory: textSetting(settings.fileWorkingDirectory),
      owner: node.id,
      directory,
      retries: read('retries'),
      stallMs: 1000 * read('stallTimeout'),
      totalMs: 1000 * read('totalTimeout'),
      maxBytes: read('maxBytes'),
      requireSign: read('requireSign'),
      allowedHosts: read('allowedHosts'),
      allowLocal: read('allowLocal'),
      maxRedirects: read('maxRedirects'),
      tls: tlsOf(RED, textSetting(config.tls)),
      proxy: proxyOf(RED, textSetting(config.proxy)),
      lenient: read('lenient'),
      publicKeys: publicKeysOf(config, read('requireSignature')),
      rollback: read('rollback'),
      concurrency: read('concurrency'),
      keep: read('keep'),
      inWork: upgradesInUse,
      usesFile: userFolder(
        RED,
        '',
        `ota/uses/${createHash('sha256').update(directory).digest('hex').slice(0, 16)}.json`,
      ),
      onFault: (error) => node.warn(error.message),
    });
    const downloadShare = read('downloadShare');
    return { verifier, source, downloadShare, warn: warnOnce(node) };
  } catch (error) {
    return toOtaError(error, 'OTA_BAD_SETTINGS');
  }
}

function publicKeysOf(config: Config, isRequired: boolean): ReturnType<typeof parsePublicKeys> {
  const keys = parsePublicKeys(textSetting(config.publicKeys));
  if (keys.length > 0 || !isRequired) return keys;
  throw new OtaError(
    'OTA_BAD_SETTINGS',
    'The node requires a signature, and has no public key to check one with: set "publicKeys".',
  );
}

/** A core http proxy node. */
interface ProxyConfigNode extends Node {
  readonly url?: unknown;
  readonly noproxy?: unknown;
  readonly credentials: { readonly username?: unknown; readonly password?: unknown };
}

/** The address of a proxy, or the id of a core http proxy node, with the login that is kept there. */
function proxyOf(RED: NodeAPI, setting: string): Proxy | null {
  const text = setting.trim();
  if (text === '') return null;
  const node = RED.nodes.getNode(text) as ProxyConfigNode | null;
  if (node === null) {
    // An id of Node-RED, of a node that is missing or disabled: never directly instead.
    if (/^[0-9a-f]{8}(\.[0-9a-f]{1,8}|[0-9a-f]{8})$/.test(text)) throw noProxy();
    return { url: parseProxy(text), except: [] };
  }
  if (typeof node.url !== 'string' || node.url.trim() === '') throw noProxy();
  const url = parseProxy(node.url);
  const { username, password } =
    (node.credentials as { username?: unknown; password?: unknown } | undefined) ?? {};
  if (textSetting(username) !== '' || textSetting(password) !== '') {
    url.username = encodeURIComponent(textSetting(username));
    url.password = encodeURIComponent(textSetting(password));
  }
  const except = Array.isArray(node.noproxy) ? node.noproxy.filter((host) => typeof host === 'string') : [];
  return { url, except };
}

function noProxy(): OtaError {
  return new OtaError(
    'OTA_BAD_SETTINGS',
    'The proxy configuration of this node is missing, disabled or empty.',
  );
}

function tlsOf(RED: NodeAPI, id: string): (() => TlsOptions) | undefined {
  if (id === '') return undefined;
  const tls = RED.nodes.getNode(id) as TlsConfigNode | null;
  // Without it the own CA wouldn't be asked, and the client certificate not be sent: never in silence.
  if (typeof tls?.addTLSOptions !== 'function') {
    throw new OtaError('OTA_BAD_SETTINGS', 'The TLS configuration of this node is missing or disabled.');
  }
  return () => {
    if (tls.valid === false) {
      throw new OtaError('OTA_TLS', "The certificates of the TLS configuration can't be read.");
    }
    return tls.addTLSOptions({});
  };
}

function warnOnce(node: Node): (expected: Expectation) => void {
  const told = new Set<string>();
  const once = (text: string): void => {
    if (!told.has(text)) node.warn(text);
    told.add(text);
  };
  return (expected) => {
    if (!isContentKnown(expected)) {
      once('A package without "sign" is taken as it comes: nothing tells whether it is the right one.');
    } else if (expected.method === 'Md5' && expected.signedSha256 === '') {
      once('MD5 finds accidents, not attacks: use SHA256, or sign packages and set the public keys here.');
    }
  };
}

async function handle(work: Work | OtaError, status: Status, msg: Message, send: Send): Promise<void> {
  const { payload } = msg;
  const upgrade: JsonObject = isObject(payload) ? payload : {};
  const module = moduleOf(upgrade);
  const tell = (report: { step: number; desc: string; code?: OtaCode }): void => {
    const { step, desc, ...code } = report;
    send([null, derive(msg, { payload: { step, desc: cutDesc(desc), module, ...code } })]);
  };
  try {
    const verified = await verify(work, status, msg, tell);
    const { filename, bytes, digest, seconds } = verified;
    const done = { payload: { ...upgrade, filename, bytes, digest, seconds }, filename };
    send([derive(msg, done as Partial<Message>), null]);
    status.success(
      isContentKnown(verified.expected) ? 'ota-verify.status.verified' : 'ota-verify.status.unsigned',
    );
  } catch (error) {
    const reason = toOtaError(error);
    if (reason.code === 'OTA_CLOSED') {
      // Not the package's failure: whoever handed the upgrade out does so again.
      const { accessToken } = msg as { accessToken?: unknown };
      if (typeof accessToken === 'string') upgradeInterrupted(accessToken, module);
      throw reason;
    }
    const url = field(upgrade, 'url');
    const isUpgrade = (typeof url === 'string' && url !== '') || reason.code === 'OTA_NO_URL';
    // A wrong message is the flow's error; an upgrade has an answer for the platform, whatever failed.
    if (!isUpgrade && (reason.code === 'OTA_BAD_INPUT' || work instanceof OtaError)) {
      status.failure(statusOf(reason));
      throw reason;
    }
    const step = failureStep(reason.code);
    tell({ step, desc: reason.message, code: reason.code });
    if (work instanceof OtaError) status.failure(statusOf(reason));
    else status.failure(step === -3 ? 'ota-verify.status.notVerified' : 'ota-verify.status.notDownloaded');
  }
}

async function verify(
  work: Work | OtaError,
  status: Status,
  msg: Message,
  tell: (report: { step: number; desc: string }) => void,
): Promise<Verified> {
  if (work instanceof OtaError) throw work;
  const { verifier, source, downloadShare, warn } = work;
  const [going, gone] = source === 'url' ? ['downloading', 'downloaded, '] : ['checking', ''];
  let known = true;
  const progress = new Progress(downloadShare, ({ step, percent, ended }) => {
    if (ended)
      return tell({ step, desc: gone + (known ? 'verified' : 'not verified: the package has no sign') });
    tell({ step, desc: percent === null ? going : `${going} ${percent} %` });
    status.going(percent === null ? `ota-verify.status.${going}` : `${percent} %`);
  });
  const fields = msg as Partial<Record<'filename' | 'content' | 'currentVersion' | 'accessToken', unknown>>;
  const verified = await verifier.verify({
    upgrade: msg.payload,
    filename: fields.filename,
    content: fields.content,
    currentVersion: fields.currentVersion,
    accessToken: fields.accessToken,
    onExpected: (expected) => {
      known = isContentKnown(expected);
      warn(expected);
      status.going(`ota-verify.status.${going}`);
    },
    onBytes: (bytes, total) => progress.bytes(bytes, total),
  });
  progress.end();
  return verified;
}
