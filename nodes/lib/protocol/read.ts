/**
 * The door for everything that comes from the wire: a topic and a body in, a message or a reason out.
 * The way: topic → JSON → unwrapped → identity → message. Nothing that comes in makes it throw.
 */
import { OtaError, toOtaError } from './errors';
import { parseBody } from './json';
import type { Answer, Ask, Inform, MessageKind, Progress, Upgrade } from './messages';
import { isAnswer, readAnswer, readAsk, readInform, readProgress, readUpgrade } from './read-messages';
import type { Scheme, TopicKind, TopicMatch } from './schemes';
import { shapeOf } from './shape';
import { maskToken } from './token';

interface Common {
  readonly topic: string;
  /** Blank where neither topic nor body name a device: then it is the listener's own. */
  readonly accessToken: string;
}

export type WireMessage =
  | ({ readonly kind: 'inform'; readonly message: Inform; readonly retained: boolean } & Common)
  | ({ readonly kind: 'progress'; readonly message: Progress } & Common)
  | ({ readonly kind: 'upgrade'; readonly message: Upgrade } & Common)
  | ({ readonly kind: 'ask'; readonly message: Ask } & Common)
  | ({ readonly kind: 'answer'; readonly message: Answer } & Common);

/** What was refused, in a form that may be logged: tokens masked, no values, 200 characters at most. */
export interface Refused {
  readonly kind: TopicKind | null;
  readonly accessToken: string | null;
  readonly error: OtaError;
  /** The masked topic. */
  readonly topic: string;
  /** Keys and types of the input. */
  readonly excerpt: string;
}

/** `refused` null: an empty message that takes a retained one away. */
export type ReadResult =
  | { readonly ok: true; readonly value: WireMessage }
  | { readonly ok: false; readonly refused: Refused }
  | { readonly ok: false; readonly refused: null };

const NOTHING: ReadResult = { ok: false, refused: null };

/** What may not be retained, and why. */
const NEVER_RETAINED: Partial<Record<TopicKind, string>> = {
  upgrade: 'A retained upgrade: it would come again at each start',
  answer: 'A retained upgrade: it would come again at each start',
  progress: 'A retained progress report: it tells of the past',
  ask: 'A retained question: it was asked in the past',
};

/** Topics on which an empty message is nothing but what takes a retained one away. */
const CURED_BY_EMPTY: ReadonlySet<TopicKind> = new Set<TopicKind>(['upgrade', 'answer', 'ask']);

/** Reads one message of the wire. `retained` is the flag of the packet. */
export function readWire(scheme: Scheme, topic: string, body: Uint8Array, retained: boolean): ReadResult {
  const match = scheme.match(topic);
  if (match === null) {
    const error = new OtaError('OTA_BAD_TOPIC', 'A message on a topic that holds no valid access token.');
    return { ok: false, refused: refuse(scheme, topic, body, null, error) };
  }
  // The cure reaches those who listen without the flag.
  if (body.length === 0 && CURED_BY_EMPTY.has(match.kind)) return NOTHING;
  try {
    refuseRetained(match.kind, retained);
    return { ok: true, value: readMessage(scheme, topic, match, body, retained) };
  } catch (error) {
    const reason = toOtaError(error, 'OTA_BAD_MESSAGE');
    return { ok: false, refused: refuse(scheme, topic, body, match, reason) };
  }
}

function readMessage(
  scheme: Scheme,
  topic: string,
  match: TopicMatch,
  bytes: Uint8Array,
  retained: boolean,
): WireMessage {
  const { sender, inner } = scheme.unwrap(match.kind, parseBody(bytes));
  const accessToken = match.accessToken ?? (sender === null ? '' : scheme.identity.check(sender));
  const common = { topic, accessToken };
  switch (match.kind) {
    case 'inform':
      return { kind: 'inform', message: readInform(inner), retained, ...common };
    case 'progress':
      return { kind: 'progress', message: readProgress(inner), ...common };
    case 'upgrade':
      return { kind: 'upgrade', message: readUpgrade(inner), ...common };
    case 'ask':
      // One topic of an older SDK carries both ways.
      if (isAnswer(inner.object)) return { kind: 'answer', message: readAnswer(inner), ...common };
      return { kind: 'ask', message: readAsk(inner), ...common };
    case 'answer':
      return { kind: 'answer', message: readAnswer(inner), ...common };
  }
}

/** A retained version report still says what the device ran: it is read. */
function refuseRetained(kind: TopicKind, retained: boolean): void {
  const what = NEVER_RETAINED[kind];
  if (!retained || what === undefined) return;
  const cure = 'Clear it with an empty retained message and publish without the retain flag.';
  throw new OtaError('OTA_RETAINED', `${what}. ${cure}`);
}

function refuse(
  scheme: Scheme,
  topic: string,
  body: Uint8Array,
  match: TopicMatch | null,
  reason: OtaError,
): Refused {
  const shownTopic = scheme.mask(topic, maskToken);
  const accessToken = match?.accessToken ?? null;
  const excerpt = shapeOf(body, accessToken);
  const error = new OtaError(
    reason.code,
    `${reason.message} Topic ${shownTopic.slice(0, 256)}, input: ${excerpt}`,
  );
  return { kind: match?.kind ?? scheme.kindOf(topic), accessToken, error, topic: shownTopic, excerpt };
}

/** The kind of listener that a topic is for: an answer brings an upgrade. */
export function listenerKind(kind: TopicKind): MessageKind {
  return kind === 'answer' ? 'upgrade' : kind;
}
