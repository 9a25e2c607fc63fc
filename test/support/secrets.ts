/**
 * Every access token that the tests use, and all that a person may read of what the nodes say: logs, statuses,
 * errors. Owns both lists; asks whether one is in the other when all tests of this process are over.
 */
import assert from 'node:assert/strict';

/** Shorter ones would be found in ordinary words. */
const MIN_LENGTH = 6;
/** A line of Node-RED's log begins so; what follows without it belongs to the line before. */
const RECORD = /^\d{1,2} \w{3} \d\d:\d\d:\d\d - \[\w+\] (\[[^\]:]+)?/;
/** What a user's own nodes write is theirs: they print whole messages. */
const OWN_WORDS = /^\[(function|debug)$/;
const TOPIC = /^\/ota\/device\/(?:inform|upgrade|progress)\/([^/]+)$/;

const tokens = new Set<string>();
const spoken = new Map<string, string>();

/** A credential or `msg.accessToken`, of whatever form. */
export function noteToken(token: unknown): void {
  if (typeof token === 'string' && token.length >= MIN_LENGTH && !token.startsWith('${')) tokens.add(token);
}

/** The token in a topic that a test publishes to. */
export function noteTopic(topic: string): void {
  noteToken(TOPIC.exec(topic)?.[1]);
}

/** The tokens in the credentials of a flow's nodes. */
export function noteFlow(flow: readonly Readonly<Record<string, unknown>>[]): void {
  for (const { credentials } of flow) {
    noteToken((credentials as { accessToken?: unknown } | undefined)?.accessToken);
  }
}

/** Something that was shown: a status, an error's text. `where` is for the report. */
export function noteSpoken(text: string, where: string): void {
  spoken.set(text, where);
}

/** Notes the lines of one process' log, as they come. */
export function logReader(where: string): (line: string) => void {
  let own = false;
  return (line) => {
    const record = RECORD.exec(line);
    if (record !== null) own = OWN_WORDS.test(record[1] ?? '');
    if (!own) noteSpoken(line, where);
  };
}

/** Texts of a failure that are told. */
const LISTED = 20;

// Each process of mocha that notes anything looks when all its tests are over; other programs have no such hook.
if (typeof after === 'function')
  after('no log, status or error of all tests holds an access token', () => {
    const found = leaks();
    const texts = found.slice(0, LISTED).map(({ token, text, where }) => `${token} in "${text}" (${where})`);
    assert.deepEqual(texts, [], `${found.length} texts hold a whole access token`);
  });

export interface Leak {
  readonly token: string;
  readonly text: string;
  readonly where: string;
}

/** Every text in which a token stands whole: of all that was noted. */
export function leaks(used: Iterable<string> = tokens, texts: Iterable<[string, string]> = spoken): Leak[] {
  const secrets = [...used];
  return [...texts].flatMap(([text, where]) =>
    secrets.filter((token) => standsIn(text, token)).map((token) => ({ token, text, where })),
  );
}

/** Part of a longer word it is no token: short ones of large fleets are found in hashes and in "Ed25519". */
function standsIn(text: string, token: string): boolean {
  for (let at = text.indexOf(token); at >= 0; at = text.indexOf(token, at + 1)) {
    const around = [text[at - 1] ?? '', text[at + token.length] ?? ''];
    if (!around.some((character) => /[\p{L}\p{N}]/u.test(character))) return true;
  }
  return false;
}

export function heard(): { readonly tokens: number; readonly texts: number } {
  return { tokens: tokens.size, texts: spoken.size };
}
