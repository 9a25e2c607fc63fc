/**
 * The messages of the protocol as the product knows them, whatever form a scheme gives them on the wire:
 * `read-messages.ts` makes them from bodies, `bodies/` writes them.
 */
import type { SignMethod } from './digests';
import type { Failure, ProgressStatus } from './steps';

/** The three messages that the protocol's documentation has. */
export const KINDS = ['inform', 'upgrade', 'progress'] as const;
/** `ask`: a device asks whether there is an upgrade for it (scheme `aliyun` only). */
export type MessageKind = (typeof KINDS)[number] | 'ask';

/** A version report. */
export interface Inform {
  /** null where the device sent none. */
  readonly id: string | null;
  readonly module: string;
  /** Without white space at its ends. */
  readonly version: string;
  /** The other flat fields of the report's `params`, 16 at most; null where it has none. */
  readonly params: { readonly [key: string]: string | number | boolean } | null;
}

export interface Progress {
  /** null where the device named none: then it means its only active upgrade, else `default`. */
  readonly module: string | null;
  readonly step: number;
  readonly status: ProgressStatus;
  readonly failure: Failure | null;
  readonly desc: string;
}

/** An upgrade as it came; nothing in it is believed but its types. */
export interface Upgrade {
  readonly id: string | null;
  readonly code: number | string | null;
  readonly module: string;
  readonly version: string;
  /** Bytes; null where unknown. */
  readonly size: number | null;
  readonly url: string | null;
  readonly signMethod: string | null;
  readonly sign: string | null;
  readonly extData: { readonly [key: string]: unknown };
}

/** A device's question for its upgrade. */
export interface Ask {
  /** null where the device sent none: it can't tell an answer from another then. */
  readonly id: string | null;
  /** True where the id came as a number: the answer has it as one, too. */
  readonly numericId: boolean;
  /** null where the device named none. */
  readonly module: string | null;
  /** The version that the device runs; null where it didn't say. */
  readonly version: string | null;
}

/** The platform's answer to a question; `upgrade` is null where there is nothing to do. */
export interface Answer {
  /** The id of the question. */
  readonly id: string | null;
  readonly upgrade: Upgrade | null;
}

/** An upgrade that may be sent: every field was checked by `Scheme.check`. */
export interface UpgradeOut {
  readonly version: string;
  readonly url: string;
  readonly size: number | null;
  readonly signMethod: SignMethod | null;
  /** Lower-case hex; empty where unsigned. */
  readonly sign: string;
  readonly module: string;
  readonly extData: { readonly [key: string]: string } | null;
}

/** An upgrade written for any number of devices: all but the id is text already. */
export interface PreparedUpgrade {
  /** The body of a push. @param id decimal digits, as `Scheme.nextId` gives them */
  readonly push: (id: string) => string;
  /** The body of the answer to a question. */
  readonly answer: (ask: Ask) => string;
}

/** What may be handed to the wire, by kind. */
export interface Outgoing {
  readonly inform: { readonly id: string; readonly version: string; readonly module?: string };
  /** A step of 0 is sent as 1, `desc` is cut at 128 characters. */
  readonly progress: { readonly step: number; readonly desc?: string; readonly module?: string | null };
  readonly upgrade: { readonly id: string; readonly upgrade: PreparedUpgrade };
  readonly ask: { readonly id: string; readonly module?: string | null };
}

/** At most 128 characters of desc are sent. */
export const MAX_DESC = 128;

/** At most 128 whole code points. */
export function cutDesc(desc: string): string {
  if (desc.length <= MAX_DESC) return desc;
  // 256 UTF-16 units hold 128 code points at least.
  const points = Array.from(desc.slice(0, 2 * MAX_DESC));
  return points.length <= MAX_DESC ? points.join('') : points.slice(0, MAX_DESC).join('');
}
