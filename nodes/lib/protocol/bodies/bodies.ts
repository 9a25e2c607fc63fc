/** How messages are written. One implementation for each form of bodies; reading is the same for all. */
import type { SignMethodCase } from '../digests';
import type { Ask, Outgoing, PreparedUpgrade, UpgradeOut } from '../messages';

/** What a service's settings, and its scheme, say about the writing. */
export interface Style {
  /** How MD5 is spelt. */
  readonly signMethodCase: SignMethodCase;
  /** Name the module in an upgrade also where it is `default`. */
  readonly sendDefaultModule: boolean;
  /** Name the module in a progress report also where none was given. */
  readonly progressNamesModule: boolean;
  /** An upgrade has a `size`. */
  readonly sendSize: boolean;
  /** The `code` of a push with plain bodies. */
  readonly code: 200 | '200';
}

export interface Bodies {
  /** @throws OtaError OTA_BAD_INPUT */
  inform(message: Outgoing['inform']): string;
  /** @param id a new one; where the form has none in a progress report, it isn't used */
  progress(message: Outgoing['progress'], id: () => string): string;
  ask(message: Outgoing['ask']): string;
  prepare(upgrade: UpgradeOut): PreparedUpgrade;
  /** The answer to a question where there is nothing to do. */
  nothing(ask: Ask): string;
  /** Why devices that read this form can't take the upgrade, or null. */
  problem(upgrade: UpgradeOut): string | null;
  /** The id of a push in the form that is sent. @param id ten digits */
  pushId(id: string): string;
}

/** The id of a question as JSON: a number where it came as one. */
export function askedId(ask: Ask): string {
  return ask.numericId && ask.id !== null ? ask.id : JSON.stringify(ask.id);
}
