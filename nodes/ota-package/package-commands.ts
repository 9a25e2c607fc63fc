/**
 * What one ota-package node does with its library: commands answered, files found for the server, the number of
 * packages in the status.
 */
import type { KeyObject } from 'node:crypto';
import path from 'node:path';
import { isUint8Array } from 'node:util/types';
import type { Node } from 'node-red';
import {
  acquireLibrary,
  type Library,
  type LibraryLease,
  type Package,
  type PackageSource,
  readFields,
  type ServedFile,
} from '../lib/packages/library';
import type { HostRules } from '../lib/packages/transfer/hosts';
import {
  field,
  isObject,
  type JsonObject,
  OtaError,
  type SignMethod,
  toOtaError,
  typeName,
} from '../lib/protocol';
import { derive, type Message, type Send } from '../lib/red/input';
import { statusOf } from '../lib/red/service';
import type { Status } from '../lib/red/status';
import { tasksThatNeed } from '../lib/platform';
import { badInput, readForce, readId, readListQuery } from './command-fields';

export interface PackageSettings {
  readonly directory: string;
  /** What a relative msg.filename starts from. */
  readonly workingDirectory: string;
  /** Without a slash at its end; blank: nothing is served. */
  readonly baseUrl: string;
  readonly signMethod: SignMethod;
  readonly maxBytes: number;
  /** Where a package may be fetched from. */
  readonly hosts: HostRules;
  readonly privateKey: KeyObject | null;
  /** How many packages there are, as the status says it in the runtime's language. */
  readonly inWords: (count: number) => string;
}

export class PackageCommands {
  readonly #node: Node;
  readonly #status: Status;
  readonly #settings: PackageSettings;
  readonly #stop = new AbortController();
  readonly #pending = new Set<Promise<unknown>>();
  #lease: Promise<LibraryLease> | null = null;
  #unlisten: (() => void) | null = null;

  constructor(node: Node, status: Status, settings: PackageSettings) {
    this.#node = node;
    this.#status = status;
    this.#settings = settings;
    this.#open().catch((error: unknown) => {
      const reason = toOtaError(error);
      status.failure(statusOf(reason));
      if (!this.#stop.signal.aborted) node.error(reason, {});
    });
  }

  /** Answers one command. @throws OtaError */
  async run(msg: Message, send: Send): Promise<void> {
    const answer = this.#answer(msg);
    this.#pending.add(answer);
    try {
      const payload = await answer;
      send(derive(msg, { payload }));
      this.#show(await this.#open(), true);
    } catch (error) {
      const reason = toOtaError(error);
      this.#status.failure(statusOf(reason));
      throw reason;
    } finally {
      this.#pending.delete(answer);
    }
  }

  /** A file of this node's library, or null. */
  async find(id: string, name: string): Promise<ServedFile | null> {
    return (await this.#open()).find(id, name);
  }

  /** Ends what is under way: an add is taken back. */
  async close(): Promise<void> {
    this.#stop.abort(new OtaError('OTA_CLOSED', 'The node was stopped; the package was not added.'));
    this.#unlisten?.();
    await Promise.allSettled(this.#pending);
    const lease = await this.#lease?.catch(() => null);
    lease?.release();
  }

  async #answer(msg: Message): Promise<Package | Package[] | PackagePage> {
    const { payload } = msg;
    if (!isObject(payload)) {
      throw badInput(`msg.payload must be an object with an "action", not ${typeName(payload)}`);
    }
    const { baseUrl } = this.#settings;
    const action = field(payload, 'action');
    switch (action) {
      case 'add':
        return this.#add(msg, payload);
      case 'list':
        return listPage(await this.#open(), payload, baseUrl);
      case 'get':
        return (await this.#open()).get(readId(payload), baseUrl);
      case 'remove':
        return this.#remove(readId(payload), readForce(payload));
      default:
        throw badInput('"action" must be "add", "list", "get" or "remove"');
    }
  }

  /** @throws OtaError OTA_PACKAGE_IN_USE, OTA_PACKAGE_NOT_FOUND, OTA_FILE */
  async #remove(id: string, force: boolean): Promise<Package> {
    const { baseUrl } = this.#settings;
    const library = await this.#open();
    const { url } = await library.get(id, baseUrl);
    if (!force) {
      const names = await tasksThatNeed({ id, url });
      if (names.length > 0) throw inUse(names);
    }
    return library.remove(id, baseUrl);
  }

  async #add(msg: Message, payload: JsonObject): Promise<Package> {
    const { signMethod, baseUrl, privateKey, maxBytes, hosts, workingDirectory } = this.#settings;
    const fields = readFields(payload, { signMethod });
    const source = readSource(msg, payload, workingDirectory);
    const library = await this.#open();
    this.#status.going('ota-package.status.adding');
    return library.add({
      fields,
      source,
      baseUrl,
      privateKey,
      maxBytes,
      hosts,
      stop: this.#stop.signal,
      onBytes: (bytes, total) => {
        if (total !== null && total > 0) this.#status.going(`${Math.floor((100 * bytes) / total)} %`);
      },
    });
  }

  /** Opens the library, again after a failure: a folder may be mended while the flow runs. */
  async #open(): Promise<Library> {
    const lease = (this.#lease ??= this.#acquire());
    try {
      return (await lease).library;
    } catch (error) {
      if (this.#lease === lease) this.#lease = null;
      throw error;
    }
  }

  async #acquire(): Promise<LibraryLease> {
    this.#stop.signal.throwIfAborted();
    const lease = await acquireLibrary(this.#settings.directory);
    if (!this.#stop.signal.aborted) {
      for (const fault of lease.faults) this.#node.error(fault, {});
      this.#unlisten = lease.library.onChange(() => this.#show(lease.library, false));
      this.#show(lease.library, false);
    }
    return lease;
  }

  #show(library: Library, done: boolean): void {
    if (done) this.#status.success(this.#settings.inWords(library.size));
    else if (this.#settings.baseUrl === '') this.#status.idle('ota-package.status.noBaseUrl');
    else this.#status.idle(this.#settings.inWords(library.size), 'dot');
  }
}

/** The file to add: msg.content, else payload.url, else msg.filename. @throws OtaError OTA_BAD_INPUT */
function readSource(msg: Message, payload: JsonObject, workingDirectory: string): PackageSource {
  const { content, filename } = msg as { content?: unknown; filename?: unknown };
  const url = field(payload, 'url');
  // Not instanceof: one that a function node made is of another world.
  if (isUint8Array(content)) return { kind: 'content', content };
  if (content !== undefined && content !== null && content !== '') {
    throw badInput(`msg.content must be a Buffer, not ${typeName(content)}`);
  }
  if (typeof url === 'string' && url.trim() !== '') return { kind: 'url', url: url.trim() };
  if (typeof filename === 'string' && filename !== '' && !filename.includes('\0')) {
    return { kind: 'file', filename: path.resolve(workingDirectory, filename) };
  }
  throw badInput(
    'a package needs its file: a Buffer in msg.content, a path in msg.filename, or an address in payload.url',
  );
}

interface PackagePage {
  readonly total: number;
  readonly page: number;
  readonly pageSize: number;
  readonly packages: readonly Package[];
}

/** All that are found as an array, or one page of them where a page is asked for. */
async function listPage(
  library: Library,
  payload: JsonObject,
  baseUrl: string,
): Promise<Package[] | PackagePage> {
  const { search, page: asked } = readListQuery(payload);
  const found = await library.list(baseUrl, search);
  if (asked === null) return found;
  const { page, pageSize } = asked;
  const from = (page - 1) * pageSize;
  return { total: found.length, page, pageSize, packages: found.slice(from, from + pageSize) };
}

/** Names that an error shows. */
const SHOWN = 5;

function inUse(names: readonly string[]): OtaError {
  const shown = names.slice(0, SHOWN).map((name) => JSON.stringify(name));
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : '';
  return new OtaError(
    'OTA_PACKAGE_IN_USE',
    `The package was not removed: devices may still fetch it for ${shown.join(', ')}${more}. Wait until these tasks have ended, cancel them, or say "force": true.`,
  );
}
