/**
 * What a package is called in a URL and on the disk: ids, safe names, addresses. Pure. Owns the rule that a URL
 * fits into the 254 characters that devices keep.
 */
import { randomBytes } from 'node:crypto';
import { MAX_URL, OtaError, reasonText } from '../../protocol';
import { baseUrlRule } from '../../rules';

/** The path below the base address; the package's id and name follow. */
export const FILES_PATH = '/ota/files';

const ID = /^[0-9a-f]{32}$/;
const ID_LENGTH = 32;
const MAX_NAME = 40;
/** A name neither begins nor ends with one. */
const MARKS = '._-';
const SAFE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/;
/** Characters of a given name that are looked at. */
const MAX_GIVEN = 512;
const MAX_EXTENSION = 10;
const MAX_BASE_URL = MAX_URL - FILES_PATH.length - ID_LENGTH - MAX_NAME - 2;

/** 128 random bits: who doesn't know it can't fetch the file. Hex, because some file systems ignore case. */
export function newId(): string {
  return randomBytes(ID_LENGTH / 2).toString('hex');
}

export function isId(text: string): boolean {
  return ID.test(text);
}

/**
 * A name that is harmless on any disk and in any URL, 1 to 40 of `A-Z a-z 0-9 . _ -`, made of any text; the
 * extension stays. A name that was made so is left as it is.
 */
export function safeName(text: string): string {
  // A file's name has 255 bytes at most: what is longer is none, and isn't worked through.
  const given = (text.split(/[/\\]/).at(-1) ?? '').slice(-MAX_GIVEN);
  const base = without(MARKS, given.normalize('NFKD').replace(/[^A-Za-z0-9._-]+/g, '_'));
  const dot = base.lastIndexOf('.');
  const extension = dot > 0 ? cut(base.slice(dot), MAX_EXTENSION) : '';
  const end = extension === '' ? '' : `.${extension}`;
  const stem = cut(dot > 0 ? base.slice(0, dot) : base, MAX_NAME - end.length);
  if (stem === '') return `package${end === '' ? '.bin' : end}`;
  // Windows takes these for devices, whatever the extension.
  const isDevice = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)/i.test(stem);
  return (isDevice ? cut(`file-${stem}`, MAX_NAME - end.length) : stem) + end;
}

/** True for a name of the form that safeName gives: whatever rule cut it, it is harmless. */
export function isSafeName(name: string): boolean {
  return SAFE_NAME.test(name);
}

/** Without these characters at its end, and at its begin. A regular expression would take the square of their number. */
function without(marks: string, text: string, { begin }: { begin: boolean } = { begin: false }): string {
  let from = 0;
  let to = text.length;
  while (to > 0 && marks.includes(text.charAt(to - 1))) to -= 1;
  while (begin && from < to && marks.includes(text.charAt(from))) from += 1;
  return text.slice(from, to);
}

/** At most `length` characters, which begin and end with a letter or a digit; blank where there is none. */
function cut(text: string, length: number): string {
  const harmless = without(MARKS, text, { begin: true }).slice(0, length);
  // Again, for the cut may end behind a dot.
  return without(MARKS, harmless);
}

/**
 * The address that devices reach, without a slash at its end; a blank one stays blank.
 * An address without a path of its own gets Node-RED's `httpNodeRoot`; one with a path is a proxy's affair.
 * @throws OtaError OTA_BAD_SETTINGS
 */
export function readBaseUrl(setting: string, httpNodeRoot: string): string {
  const text = setting.trim();
  if (text === '') return '';
  const { reason } = baseUrlRule.read(text);
  if (reason !== null) throw badBase(reasonText(reason));
  const url = new URL(text);
  const root = without('/', httpNodeRoot, { begin: true });
  const path = without('/', url.pathname);
  if (path === '' && root !== '') url.pathname = `/${root}`;
  const base = without('/', url.href);
  if (base.length > MAX_BASE_URL) {
    throw badBase(
      `has ${base.length} characters; with at most ${MAX_BASE_URL} a package's URL has at most ${MAX_URL}`,
    );
  }
  return base;
}

/** Where devices fetch a package; at most 256 characters. */
export function fileUrl(baseUrl: string, id: string, name: string): string {
  return `${baseUrl}${FILES_PATH}/${id}/${name}`;
}

function badBase(reason: string): OtaError {
  return new OtaError('OTA_BAD_SETTINGS', `The setting "baseUrl" ${reason}.`);
}
