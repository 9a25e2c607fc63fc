/**
 * What the answer of a server means for a download that holds some bytes already: a table of HTTP's rules.
 * Pure: reads headers, never the body.
 */
import { OtaError } from '../../protocol';
import { tooLarge, wrongSize } from './content';
import { type Sidecar, UNKNOWN } from './partial';
import { TransferFault } from './fault';
import type { HttpAnswer } from './http';
import { LONGEST_ASKED_MS } from './retry';

export interface Have {
  /** Bytes on disk; above 0 the request had a `Range`. */
  readonly bytes: number;
  /** The file that they are part of. */
  readonly source: Sidecar;
  /** Bytes of the whole as the upgrade says, or null. */
  readonly size: number | null;
  readonly maxBytes: number;
  /** A digest will tell whether the parts belong together; else the server must prove it. */
  readonly contentKnown: boolean;
  /** False where the server was seen to give one file several ETags: only where the content is known. */
  readonly believesEtags: boolean;
}

export interface Plan {
  /** The first byte that the body brings: 0, or what is there already. */
  readonly from: number;
  readonly source: Sidecar;
}

/** The headers that ask for the rest of a file. */
export function rangeHeaders(have: Have): { readonly [name: string]: string } {
  if (have.bytes === 0) return {};
  const validator = have.source.etag ?? have.source.lastModified;
  return { Range: `bytes=${have.bytes}-`, ...(validator === null ? {} : { 'If-Range': validator }) };
}

/**
 * Decides what to do with an answer.
 * @throws TransferFault where another try may help; OtaError where none will
 */
export function readAnswer(answer: HttpAnswer, have: Have): Plan {
  if (answer.status === 206 && have.bytes > 0) {
    checkEncoding(answer, have, have.bytes);
    return readRest(answer, have);
  }
  if (answer.status === 200) {
    checkEncoding(answer, have, 0);
    return readWhole(answer, have);
  }
  throw refused(answer, have);
}

/** 200: the whole file, also where a part was asked for. */
function readWhole(answer: HttpAnswer, have: Have): Plan {
  const total = lengthOf(answer);
  if (total !== null && have.size !== null && total !== have.size) throw wrongSize(total, have.size);
  if (total !== null && total > have.maxBytes) throw tooLarge(total, have.maxBytes);
  // Behind one name stand servers that disagree about the file's ETag: from now on its digest decides, and the
  // rest is asked for without it.
  const disagree = !have.believesEtags || (have.bytes > 0 && have.contentKnown);
  return { from: 0, source: { ...(disagree ? UNKNOWN : validators(answer)), total } };
}

/** 206: only the rest of the very file that we hold a part of. */
function readRest(answer: HttpAnswer, have: Have): Plan {
  const total = have.size ?? have.source.total;
  const range = /^bytes\s+([0-9]{1,15})-([0-9]{1,15})\/([0-9]{1,15}|\*)$/i.exec(
    answer.header('content-range') ?? '',
  );
  const [first, last, whole] = [Number(range?.[1]), Number(range?.[2]), range?.[3]];
  const length = lengthOf(answer);
  const { etag } = validators(answer);
  const isRest =
    range !== null &&
    first === have.bytes &&
    last >= first &&
    (whole === '*' || total === null || Number(whole) === total) &&
    (total === null || last < total) &&
    (length === null || length === last - first + 1);
  if (!isRest || !isSameFile(etag, have)) {
    const error = new OtaError(
      'OTA_DOWNLOAD_FAILED',
      'The server sent another part of the file than asked for.',
    );
    // The first time it may be another file. Servers that give each connection an ETag would do it for ever.
    const doubt = isRest && have.contentKnown ? 'etag' : null;
    throw new TransferFault(error, { fromZero: true, doubt });
  }
  const known = total ?? (whole === '*' ? null : Number(whole));
  if (known !== null && known > have.maxBytes) throw tooLarge(known, have.maxBytes);
  return { from: have.bytes, source: { ...have.source, total: known } };
}

function isSameFile(etag: string | null, have: Have): boolean {
  if (etag !== null && have.source.etag !== null) return etag === have.source.etag;
  return have.contentKnown;
}

/**
 * A packed body would need unpacking, and what is downloaded is never unpacked: size and digest are those of the
 * file as it is. Some servers name an encoding over the very bytes that were announced: those are taken.
 */
function checkEncoding(answer: HttpAnswer, have: Have, from: number): void {
  const content = answer.header('content-encoding')?.trim().toLowerCase() ?? '';
  const transfer = answer.header('transfer-encoding')?.trim().toLowerCase() ?? '';
  if (isPlain(content) && (isPlain(transfer) || transfer === 'chunked')) return;
  const length = lengthOf(answer);
  const asAnnounced = have.contentKnown && have.size !== null && length === have.size - from;
  if (asAnnounced && (isPlain(transfer) || transfer === 'chunked')) return;
  const name = (isPlain(content) ? transfer : content).replace(/[^a-z0-9, -]/g, '?').slice(0, 20);
  throw new OtaError(
    'OTA_BAD_ENCODING',
    `The server sends the file packed (${name}): it must send it as it is.`,
  );
}

function isPlain(encoding: string): boolean {
  return encoding === '' || encoding === 'identity';
}

function refused(answer: HttpAnswer, have: Have): OtaError | TransferFault {
  const { status } = answer;
  const error = new OtaError('OTA_HTTP_STATUS', `The server answered ${status}${wordOf(status)}.`);
  if (status === 416 && have.bytes > 0) return new TransferFault(error, { fromZero: true });
  // Our part, or its ETag, is what it objects to: the next message begins without it.
  if (status === 412 && have.bytes > 0) return new TransferFault(error, { fromZero: true, final: true });
  if (status === 408 || status === 429 || status >= 500) {
    return new TransferFault(error, { retryAfter: retryAfter(answer.header('retry-after'), nowAt(answer)) });
  }
  return error;
}

const WORDS: { readonly [status: number]: string } = {
  206: 'with a part of the file that nobody asked for',
  204: 'without a file',
  401: 'user or password wrong',
  403: 'not allowed, or the address is no longer valid',
  404: 'no such file',
  408: 'too slow',
  410: 'the file is gone',
  416: 'the file is shorter than what is here',
  429: 'too many requests',
  500: 'an error of its own',
  503: 'not available now',
};

function wordOf(status: number): string {
  const word = WORDS[status];
  return word === undefined ? '' : `: ${word}`;
}

/** The server's own time, or null: a gateway's clock may be years behind when it starts, and isn't asked. */
function nowAt(answer: HttpAnswer): number | null {
  const date = Date.parse(answer.header('date') ?? '');
  return Number.isNaN(date) ? null : date;
}

/**
 * Seconds or an HTTP date as milliseconds from now, an hour at most; null where absent, unreadable, or a date with
 * nothing to count from.
 * @param now the server's time, or null
 */
export function retryAfter(value: string | null, now: number | null): number | null {
  if (value === null) return null;
  const text = value.trim();
  if (/^[0-9]+$/.test(text)) return Math.min(Number(text) * 1000, LONGEST_ASKED_MS);
  const date = /[a-z]/i.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(date) || now === null) return null;
  return Math.min(Math.max(0, date - now), LONGEST_ASKED_MS);
}

function lengthOf(answer: HttpAnswer): number | null {
  const text = answer.header('content-length') ?? '';
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : null;
}

/** A weak ETag names what looks alike, not the same bytes: it can't join two parts. */
function validators(answer: HttpAnswer): { etag: string | null; lastModified: string | null } {
  const etag = answer.header('etag');
  return {
    etag: etag !== null && /^"[\x21\x23-\x7e\x80-\xff]*"$/.test(etag) ? etag : null,
    lastModified: answer.header('last-modified'),
  };
}
