/**
 * Bodies as Alibaba Cloud's devices read them. Their readers are sscanf and hand-made searches for `"size":` or
 * `"url":"`: the text is compact, the fields stand in exactly this order, and nothing may look like a field.
 */
import { signMethodName } from '../digests';
import { cutDesc, type UpgradeOut } from '../messages';
import { DEFAULT_MODULE, moduleOrDefault } from '../modules';
import { checkStep } from '../steps';
import { askedId, type Bodies, type Style } from './bodies';
import { sendable, versionToSend } from './sendable';

/** Every key of a push: one of them in extData would be found in place of the field. */
const FIELD_KEYS = new Set(
  (
    'module files url size version sign signMethod md5 dProtocol streamId streamFileId ' +
    'id code data message extData'
  ).split(' '),
);

/** What a text field must not hold: a search ends at the first quotation mark, and knows no escapes. */
const UNSEARCHABLE = /["\\\p{Cc}]/u;

export function alinkBodies(style: Style): Bodies {
  return {
    inform: ({ id, version, module }) =>
      sendable({ id, params: { version: versionToSend(version), module: moduleOrDefault(module) } }),
    progress({ step: given, desc, module }, id) {
      const step = checkStep(given);
      const named = module ?? '';
      const shown = named === '' && style.progressNamesModule ? DEFAULT_MODULE : named;
      const params = {
        step: String(step === 0 ? 1 : step),
        desc: cutDesc(desc ?? ''),
        ...(shown === '' ? {} : { module: shown }),
      };
      return sendable({ id: id(), params });
    },
    ask: ({ id, module }) =>
      sendable({ id, version: '1.0', params: module ? { module } : {}, method: 'thing.ota.firmware.get' }),
    prepare(upgrade) {
      const data = JSON.stringify(dataOf(upgrade, style));
      return {
        push: (id) => `{"code":"1000","data":${data},"id":${numericId(id)},"message":"success"}`,
        answer: (ask) => `{"id":${askedId(ask)},"code":200,"data":${data}}`,
      };
    },
    nothing: (ask) => `{"id":${askedId(ask)},"code":200,"data":{}}`,
    problem: (upgrade) => problemOf(upgrade),
    pushId: numericId,
  };
}

function dataOf(upgrade: UpgradeOut, style: Style): object {
  const { size, sign, version, url, signMethod, module, extData } = upgrade;
  return {
    size,
    sign,
    version,
    url,
    signMethod: signMethod === null ? '' : signMethodName(signMethod, style.signMethodCase),
    ...(signMethod === 'Md5' ? { md5: sign } : {}),
    ...(style.sendDefaultModule || module !== DEFAULT_MODULE ? { module } : {}),
    ...(extData === null ? {} : { extData }),
  };
}

/** Thirteen digits, as a time in milliseconds has; ours have ten. */
function numericId(id: string): string {
  return id.length >= 13 ? id : `1${id.padStart(12, '0')}`;
}

function problemOf({ size, sign, version, url, module, extData }: UpgradeOut): string | null {
  if (size === null) return '"size" is missing: the SDK of these devices needs a size, and divides by it';
  if (sign === '')
    return '"sign" is missing: the SDK of these devices needs a sign, and ignores a push without';
  for (const [name, text] of Object.entries({ version, url, module })) {
    if (!UNSEARCHABLE.test(text)) continue;
    return `"${name}" holds a quotation mark, a backslash or a control character, which the SDK of these devices can't read`;
  }
  const taken = Object.keys(extData ?? {}).find((key) => FIELD_KEYS.has(key));
  if (taken === undefined) return null;
  return `"extData" has the key "${taken}": the SDK of these devices would take it for the field of the upgrade; give it another name`;
}
