/** What makes two upgrades the same one. Pure. */
import type { UpgradePayload } from './types';

/**
 * The content of an upgrade as text: module, version, size, signMethod and sign; the url only where there is no
 * sign, because the address of one package may change with each push. The id isn't part of it: some platforms
 * always send 1, and others begin to count anew.
 */
export function contentOf(upgrade: UpgradePayload): string {
  const { module, version, size, signMethod, sign, url } = upgrade;
  const digest = sign === null || sign === '' ? null : sign.toLowerCase();
  const method = signMethod === null ? null : signMethod.toLowerCase();
  return JSON.stringify([module, version, size, method, digest, digest === null ? url : null]);
}

/** The key of a module of a device. */
export function moduleKey(accessToken: string, module: string): string {
  return JSON.stringify([accessToken, module]);
}
