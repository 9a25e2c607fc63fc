/**
 * Serves the files of packages over HTTP: whole or in part, never chunked, only by their id and name. Owns what
 * a device's HTTP client may rely on; knows neither Node-RED nor where files lie.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import send from 'send';
import { type RateLimits, SlowReaders } from './slow-readers';
import { type TurnLimits, Turns } from './turns';

/** A file that may be served: its folder, its name there, its bytes and the SHA-256 of its content. */
export interface Servable {
  readonly folder: string;
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
}

/** Finds a file, or null; may take its time while a library is being opened. */
export type Finder = (id: string, name: string) => Promise<Servable | null>;

export interface ServeLimits extends TurnLimits, RateLimits {
  /** Milliseconds that a library which is restarted may be away. */
  readonly restartMs: number;
}

const LIMITS: ServeLimits = {
  restartMs: 15_000,
  // A fleet behind one router is one client.
  perClient: 128,
  total: 512,
  waiting: 4096,
  waitMs: 60_000,
  // A line of 2,400 bit/s has 300; a device that writes its flash meanwhile takes nothing for a while.
  leastRate: 128,
  stretchMs: 120_000,
  wantedRate: 1024,
  wantedMs: 30_000,
  everyMs: 5000,
};
/** Seconds; for a device that asks while a library is restarted, and while too many others are served. */
const RETRY_AFTER = '2';
const RETRY_BUSY_AFTER = '20';
/** What all reads together may hold; each gets a share of it. */
const READ_MEMORY = 64 * 1024 * 1024;
const READ_LEAST = 64 * 1024;
const READ_MOST = 512 * 1024;
/** Content under an id never changes. `no-transform`: a compressing proxy would send it chunked. */
const CACHE_CONTROL = 'max-age=31536000, immutable, no-transform';
const PATH = /^\/([0-9a-f]{32})\/([A-Za-z0-9._-]{1,64})$/;

export class FileServer {
  readonly #finders = new Set<Finder>();
  readonly #restartMs: number;
  readonly #turns: Turns;
  readonly #slow: SlowReaders;
  /** One for each finder that is expected back. */
  readonly #away: NodeJS.Timeout[] = [];

  constructor(limits: Partial<ServeLimits> = {}) {
    const all = { ...LIMITS, ...limits };
    this.#restartMs = all.restartMs;
    this.#turns = new Turns(all);
    this.#slow = new SlowReaders(all, (client) => this.#turns.isWanted(client));
  }

  /**
   * Serves what a finder finds, too; returns what ends that. One that leaves for a `restart` is expected back:
   * until then a device is told to try again, where a 404 would end its upgrade.
   */
  add(finder: Finder): (why?: 'restart') => void {
    this.#finders.add(finder);
    clearTimeout(this.#away.shift());
    return (why) => {
      if (!this.#finders.delete(finder) || why !== 'restart') return;
      const timer = setTimeout(() => this.#away.splice(this.#away.indexOf(timer), 1), this.#restartMs);
      this.#away.push(timer.unref());
    };
  }

  /** Handles requests below the path of files, e.g. `/<id>/<name>`; others' while there is no finder. */
  readonly handle = (request: IncomingMessage, response: ServerResponse, next: () => void): void => {
    if (this.#finders.size === 0 && this.#away.length === 0) next();
    else void this.#answer(request, response).catch(() => refuse(response, 500));
  };

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      return refuse(response, 405);
    }
    const [, id, name] = PATH.exec(pathOf(request.url ?? '')) ?? [];
    const file = id === undefined || name === undefined ? null : await this.#find(id, name);
    if (file !== null) return this.#sendInTurn(request, response, file);
    if (this.#away.length === 0) return refuse(response, 404);
    response.setHeader('Retry-After', RETRY_AFTER);
    refuse(response, 503);
  }

  async #find(id: string, name: string): Promise<Servable | null> {
    const failures: unknown[] = [];
    for (const finder of this.#finders) {
      try {
        const file = await finder(id, name);
        if (file !== null) return file;
      } catch (error) {
        // Its node told it; another library may have the file.
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return null;
  }

  async #sendInTurn(request: IncomingMessage, response: ServerResponse, file: Servable): Promise<void> {
    const client = request.socket.remoteAddress ?? '';
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    if (request.socket.destroyed) return;
    if (!(await this.#turns.enter(client, gone.signal))) {
      response.setHeader('Retry-After', RETRY_BUSY_AFTER);
      return refuse(response, 503, BUSY);
    }
    if (gone.signal.aborted) return this.#turns.leave(client);
    response.once('close', () => this.#turns.leave(client));
    this.#slow.watch(response, client);
    this.#send(request, response, file);
  }

  #send(request: IncomingMessage, response: ServerResponse, file: Servable): void {
    const etag = `"${file.sha256}"`;
    fitRange(request, etag, file.size);
    response.setHeader('ETag', etag);
    response.setHeader('Cache-Control', CACHE_CONTROL);
    response.setHeader('Content-Type', 'application/octet-stream');
    response.setHeader('Content-Disposition', `attachment; filename="${file.name}"`);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    const options = {
      root: file.folder,
      index: false,
      dotfiles: 'deny',
      cacheControl: false,
      lastModified: false,
      // It goes on to the stream that reads the file.
      highWaterMark: Math.max(READ_LEAST, Math.min(READ_MOST, Math.floor(READ_MEMORY / this.#turns.running))),
    } as const;
    send(request, file.name, options)
      .on('error', (error: { status?: unknown }) => {
        refuse(response, typeof error.status === 'number' ? error.status : 500);
      })
      .pipe(response);
  }
}

/** The path of a request without its query; some HTTP clients name the host in front (RFC 9112, 3.2.2). */
function pathOf(target: string): string {
  return target.replace(/^https?:\/\/[^/?]*/i, '').replace(/\?.*$/s, '');
}

/**
 * What the library of ranges leaves to its caller (RFC 9110, 13.1.5 and 14.2): a range counts for GET only;
 * under If-Range only for the very same content; and the last n bytes of a shorter file are all of it. A date
 * says nothing about a file that has none (13.1.4).
 */
function fitRange(request: IncomingMessage, etag: string, size: number): void {
  const { headers } = request;
  const ifRange = headers['if-range'];
  delete headers['if-unmodified-since'];
  if (request.method === 'HEAD' || (ifRange !== undefined && ifRange !== etag)) delete headers.range;
  const suffix = /^bytes=-([0-9]+)$/.exec(headers.range ?? '')?.[1];
  if (suffix !== undefined && Number(suffix) > size) headers.range = 'bytes=0-';
}

const TEXTS: { readonly [status: number]: string } = {
  404: 'There is no such package.',
  405: 'Only GET and HEAD are answered.',
  412: 'The file is not the one that was asked for.',
  416: 'The file has no such part.',
  503: 'The packages are not ready: try again.',
};

const BUSY = 'Too many downloads run: try again later.';

/** A short text with its length; what was under way is cut, so that nobody takes it for the whole. */
function refuse(response: ServerResponse, status: number, text = TEXTS[status]): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const body = `${text ?? 'The file can not be served.'}\n`;
  for (const header of ['ETag', 'Content-Disposition', 'Accept-Ranges']) response.removeHeader(header);
  response.statusCode = status;
  response.setHeader('Cache-Control', 'no-store');
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.setHeader('Content-Length', Buffer.byteLength(body));
  response.end(body);
}
