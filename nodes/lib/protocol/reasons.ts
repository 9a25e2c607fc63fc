/** The texts of the rules' reasons, as errors say them. The editor has its own, in its language. */
import type { Reason, ReasonKey } from '../rules';

/** What follows the name of what was refused, e.g. `The inform topic …`. */
const TEXTS: Readonly<Record<ReasonKey, string>> = {
  missing: 'is missing',
  text: 'must be text',
  number: 'must be a number',
  integer: 'must be a whole number',
  atLeast: 'must be a number, at least __min__',
  between: 'must be a number between __min__ and __max__',
  choice: 'must be one of __words__',
  flag: 'must be true or false',
  list: 'must be a list of at most __max__',
  separators: 'holds separators only',
  unknownField: 'is no field of it: use __fields__',
  level: 'must not hold "/", "+", "#", control characters or Unicode noncharacters',
  token:
    'must have 1 to 128 characters, none of them "/", "+", "#", a control character or a Unicode noncharacter',
  pair: 'must be "productKey/deviceName": two names with one "/" between them, 128 characters at most, none of them "+", "#", a control character or a Unicode noncharacter',
  name: 'must have at most __max__ characters, and no control characters',
  labelNames:
    'must be names of fields parted by commas, __max__ at most, each of at most __length__ characters',
  templateCharacters: 'must not hold "+", "#", control characters or Unicode noncharacters',
  templateStart: 'must not begin with $share/ or $SYS/',
  templateToken:
    'must hold {accessToken} once, or {productKey} and {deviceName} once each, each as a whole level',
  templateLength: 'is longer than __max__ bytes',
  templateMixed: 'must name the device in the same way',
  templateSame: 'must differ: a topic could be either',
  waves: 'must be rising percentages, the last of them 100, e.g. [1, 10, 50, 100]',
  versions: 'must be a list of versions (texts)',
  reasons: 'must be a list of reasons, of __words__',
  windowForm:
    'must be null, {from: "01:00", to: "05:00", timeZone, days}, or "01:00-05:00 Europe/Berlin mon,tue"',
  windowEmpty: 'must not begin and end at the same time',
  time: 'must be a time such as "01:00"',
  timeZone: 'must be the name of a time zone such as "Europe/Berlin"',
  days: 'must be a list of days, of __days__',
  hosts:
    'holds "__name__", which is no host name: write names such as "files.example.com" or "*.example.com", without "https://" and without a port',
  baseUrl: 'must be an http:// or https:// address that devices reach',
  baseUrlQuery: 'must not hold "?" or "#"',
  versionAtStart: 'is missing, and the node reports it when the flow starts',
  privateKey: 'holds a private key: it belongs into ota-package and nowhere else',
  keyCut: 'holds a PEM block that is cut off',
  keyForm: 'holds a key that is neither a PEM block nor base64',
  keyKind:
    'holds a key of another kind: give Ed25519 public keys, as PEM or as base64 of 32 bytes or of SPKI',
  keysMissing: 'needs public keys to check a signature with',
  proxy: 'must be a proxy node or an address such as "http://proxy.example.com:3128"',
  labels:
    'must be an object {label: text or list of texts}, at most __max__ labels with names of 1 to __length__ characters',
  labelValues: 'must be a text of at most __length__ characters, or a list of 1 to __max__ of them',
  postgresUrl: 'must be an address such as "postgresql://user:password@host:5432/database"',
  schema:
    'must be a name of small letters, digits and "_", not beginning with a digit, 63 characters at most',
};

/** What is wrong, without the name of what is wrong in front and without a full stop. */
export function reasonText({ key, values = {} }: Reason): string {
  return TEXTS[key].replace(/__(\w+?)__/g, (place, name: string) => String(values[name] ?? place));
}
