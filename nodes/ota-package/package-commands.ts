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

export interface PackageSettings {
  readonly directory: string;
  /** What a relative msg.filename starts from. */
  readonly workingDirectory: string;
  /** Without a slash at its end; blank: nothing is served. */
  readonly baseUrl: string;
  readonly signMethod: SignMethod;
  readonly maxBytes: number;
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

  async #answer(msg: Message): Promise<Package | Package[]> {
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
        return (await this.#open()).list(baseUrl);
      case 'get':
        return (await this.#open()).get(idOf(payload), baseUrl);
      case 'remove':
        return (await this.#open()).remove(idOf(payload), baseUrl);
      default:
        throw badInput('"action" must be "add", "list", "get" or "remove"');
    }
  }

  async #add(msg: Message, payload: JsonObject): Promise<Package> {
    const { signMethod, baseUrl, privateKey, maxBytes, workingDirectory } = this.#settings;
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

function idOf(payload: JsonObject): string {
  const id = field(payload, 'id');
  if (typeof id !== 'string' || id === '') throw badInput('"id" must be the id of a package');
  return id;
}

function badInput(reason: string): OtaError {
  return new OtaError('OTA_BAD_INPUT', `The command can not be carried out: ${reason}.`);
}
