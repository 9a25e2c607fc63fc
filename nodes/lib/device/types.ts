/** The words of the device side: an upgrade that was pushed to a device, and what is known of it. Types only. */

/** The fields of an upgrade, as they go to a flow. */
export interface UpgradePayload {
  readonly accessToken: string;
  /** null where the platform sent none. */
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
  /** When it was received, ISO 8601. */
  readonly at: string;
}

/** An upgrade with the MQTT topic that it came on. */
export interface ReceivedUpgrade {
  readonly topic: string;
  readonly payload: UpgradePayload;
}

/** An upgrade that was handed out to the flow. */
export interface UpgradeInWork {
  /** Its own, across restarts: a report says with it which upgrade it ended. */
  readonly key: string;
  readonly upgrade: ReceivedUpgrade;
  /** The number of Node-RED's runs in which it was handed out. */
  readonly attempt: number;
  /** The run of Node-RED in which it was handed out last. */
  readonly run: string;
  /** When it was handed out first, ISO 8601. */
  readonly since: string;
  /** Milliseconds of running time without a report or a message, as of the last save. */
  readonly quietMs: number;
  /** True where its end lies on disk and the broker hasn't acknowledged the report yet. */
  readonly reporting: boolean;
}

/** An upgrade that ended: a repeat of it is dropped for a while. */
export interface EndedUpgrade {
  readonly accessToken: string;
  readonly id: string;
  readonly content: string;
  /** When it ended, ISO 8601. */
  readonly at: string;
}

/** All that is known of the upgrades of one ota-push node. */
export interface UpgradeState {
  readonly waiting: readonly ReceivedUpgrade[];
  readonly inWork: readonly UpgradeInWork[];
  readonly ended: readonly EndedUpgrade[];
}
