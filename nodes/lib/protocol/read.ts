/**
 * The door for everything that comes from the wire: a topic and a body in, a message or a reason out.
 * Nothing that comes in makes it throw.
 */
import { OtaError, toOtaError } from './errors';
import { MAX_BODY_BYTES, parseObject } from './json';
import { type Inform, type Progress, readInform, readProgress, readUpgrade, type Upgrade } from './messages';
import type { MessageKind, TopicScheme } from './schemes';
import { maskToken } from './token';

/** What of a refused input is shown. */
export const SHOWN_CHARACTERS = 200;

interface Common {
  readonly topic: string;
  readonly accessToken: string;
}

export type WireMessage =
  | ({ readonly kind: 'inform'; readonly message: Inform } & Common)
  | ({ readonly kind: 'progress'; readonly message: Progress } & Common)
  | ({ readonly kind: 'upgrade'; readonly message: Upgrade } & Common);

/** What was refused, in a form that may be logged: tokens masked, 200 characters at most. */
export interface Refused {
  readonly kind: MessageKind | null;
  readonly accessToken: string | null;
  readonly error: OtaError;
  /** The masked topic. */
  readonly topic: string;
  /** The first 200 characters of the input. */
  readonly excerpt: string;
}

export type ReadResult =
  { readonly ok: true; readonly value: WireMessage } | { readonly ok: false; readonly refused: Refused };

/** Reads one message of the wire. `retained` is the flag of the packet. */
export function readWire(
  scheme: TopicScheme,
  topic: string,
  body: Uint8Array,
  retained: boolean,
): ReadResult {
  const match = scheme.match(topic);
  if (match === null) {
    const error = new OtaError('OTA_BAD_TOPIC', 'A message on a topic that holds no valid access token.');
    return { ok: false, refused: refuse(scheme, topic, body, null, error) };
  }
  try {
    refuseRetained(match.kind, retained);
    const object = parseObject(body);
    const common = { topic, accessToken: match.accessToken };
    switch (match.kind) {
      case 'inform':
        return { ok: true, value: { kind: 'inform', message: readInform(object), ...common } };
      case 'progress':
        return { ok: true, value: { kind: 'progress', message: readProgress(object), ...common } };
      case 'upgrade':
        return { ok: true, value: { kind: 'upgrade', message: readUpgrade(object), ...common } };
    }
  } catch (error) {
    const reason = toOtaError(error, 'OTA_BAD_MESSAGE');
    return { ok: false, refused: refuse(scheme, topic, body, match, reason) };
  }
}

/**
 * A retained upgrade would come again at each start, for ever; a retained progress report tells of an
 * upgrade long over. A retained version report still says what the device ran: it is read.
 */
function refuseRetained(kind: MessageKind, retained: boolean): void {
  if (!retained || kind === 'inform') return;
  const cure = 'Clear it with an empty retained message and publish without the retain flag.';
  const what =
    kind === 'upgrade'
      ? 'A retained upgrade: it would come again at each start'
      : 'A retained progress report: it tells of the past';
  throw new OtaError('OTA_RETAINED', `${what}. ${cure}`);
}

function refuse(
  scheme: TopicScheme,
  topic: string,
  body: Uint8Array,
  match: { kind: MessageKind; accessToken: string } | null,
  reason: OtaError,
): Refused {
  const shownTopic = scheme.mask(topic, maskToken);
  const excerpt = excerptOf(body, match?.accessToken ?? null);
  const error = new OtaError(
    reason.code,
    `${reason.message} Topic ${shownTopic.slice(0, 256)}, input: ${excerpt}`,
  );
  return {
    kind: match?.kind ?? scheme.kindOf(topic),
    accessToken: match?.accessToken ?? null,
    error,
    topic: shownTopic,
    excerpt,
  };
}

/** The first characters of a body as printable text, the device's own token masked. */
function excerptOf(body: Uint8Array, accessToken: string | null): string {
  const bytes = Math.min(body.length, MAX_BODY_BYTES, 8 * SHOWN_CHARACTERS);
  let text = Buffer.from(body.buffer, body.byteOffset, bytes).toString('utf8');
  if (accessToken !== null) {
    text = text.replaceAll(accessToken, maskToken(accessToken));
    // What was cut off may have left a part of the token at the end.
    if (bytes < body.length) text = text.slice(0, -accessToken.length);
  }
  const shown = Array.from(text.replace(/[\p{Cc}\p{Cs}]/gu, '\uFFFD'));
  return shown.length > SHOWN_CHARACTERS ? shown.slice(0, SHOWN_CHARACTERS).join('') + '…' : shown.join('');
}
