/** Bodies as the protocol's documentation has them: `params` in a report and a push, a flat progress report. */
import { signMethodName } from '../digests';
import { cutDesc } from '../messages';
import { DEFAULT_MODULE, moduleOrDefault } from '../modules';
import { checkStep } from '../steps';
import { askedId, type Bodies, type Style } from './bodies';
import { sendable, versionToSend } from './sendable';

export function plainBodies(style: Style): Bodies {
  return {
    inform: ({ id, version, module }) =>
      sendable({ id, params: { version: versionToSend(version), module: moduleOrDefault(module) } }),
    progress({ step: given, desc, module }) {
      const step = checkStep(given);
      const named = module ?? '';
      const shown = named === '' && style.progressNamesModule ? DEFAULT_MODULE : named;
      return sendable({
        step: String(step === 0 ? 1 : step),
        desc: cutDesc(desc ?? ''),
        ...(shown === '' ? {} : { module: shown }),
      });
    },
    ask: ({ id, module }) => sendable({ id, params: module ? { module } : {} }),
    prepare(upgrade) {
      const params: Record<string, unknown> = { version: upgrade.version };
      if (upgrade.size !== null && style.sendSize) params['size'] = upgrade.size;
      params['url'] = upgrade.url;
      if (upgrade.signMethod !== null) {
        params['signMethod'] = signMethodName(upgrade.signMethod, style.signMethodCase);
      }
      if (upgrade.sign !== '') params['sign'] = upgrade.sign;
      if (style.sendDefaultModule || upgrade.module !== DEFAULT_MODULE) params['module'] = upgrade.module;
      if (upgrade.extData !== null) params['extData'] = upgrade.extData;
      const tail = `,"code":${JSON.stringify(style.code)},"params":${JSON.stringify(params)}}`;
      return {
        push: (id) => `{"id":${JSON.stringify(id)}${tail}`,
        answer: (ask) => `{"id":${askedId(ask)}${tail}`,
      };
    },
    nothing: (ask) => `{"id":${askedId(ask)},"code":200,"params":{}}`,
    problem: () => null,
    pushId: (id) => id,
  };
}
