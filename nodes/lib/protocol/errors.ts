/**
 * The one error of this project. Owns the list of stable codes; must never hold texts of a single node.
 * The README's table of codes lists the same ones.
 */

/** Every code that an error of ours can carry. A flow may switch on it: codes are never renamed. */
export const OTA_CODES = [
  'OTA_BAD_TOKEN',
  'OTA_BAD_TEMPLATE',
  'OTA_BAD_SETTINGS',
  'OTA_BAD_INPUT',
  'OTA_BAD_UPGRADE',
  'OTA_BAD_TOPIC',
  'OTA_BAD_MESSAGE',
  'OTA_TOO_LARGE',
  'OTA_BAD_STEP',
  'OTA_RETAINED',
  'OTA_NO_SERVICE',
  'OTA_NO_BROKER',
  'OTA_UNREACHABLE',
  'OTA_AUTH_REFUSED',
  'OTA_TLS',
  'OTA_CLIENT_ID_TAKEN',
  'OTA_CONNECTION_LOST',
  'OTA_BROKER_REFUSED',
  'OTA_SUBSCRIBE_REFUSED',
  'OTA_NOT_CONNECTED',
  'OTA_QUEUE_FULL',
  'OTA_TIMEOUT',
  'OTA_OFFLINE',
  'OTA_PUBLISH_REFUSED',
  'OTA_CLOSED',
  'OTA_GAVE_UP',
  'OTA_STUCK',
  'OTA_REPORT_EXPIRED',
  'OTA_COMMIT_FAILED',
  'OTA_BAD_URL',
  'OTA_NO_URL',
  'OTA_HOST_REFUSED',
  'OTA_REDIRECT',
  'OTA_DOWNLOAD_FAILED',
  'OTA_HTTP_STATUS',
  'OTA_BAD_ENCODING',
  'OTA_STALLED',
  'OTA_TOTAL_TIMEOUT',
  'OTA_SIZE_LIMIT',
  'OTA_SIZE_MISMATCH',
  'OTA_DIGEST_MISMATCH',
  'OTA_BAD_SIGN',
  'OTA_UNSIGNED',
  'OTA_BAD_SIGN_METHOD',
  'OTA_BAD_SIGNATURE',
  'OTA_SIGNATURE_EXPIRED',
  'OTA_ROLLBACK',
  'OTA_BAD_PACKAGE',
  'OTA_PACKAGE_NOT_FOUND',
  'OTA_PACKAGE_IN_USE',
  'OTA_FILE',
  'OTA_DISK_FULL',
  'OTA_NO_STORE',
  'OTA_NO_SQLITE',
  'OTA_NO_PG',
  'OTA_STORE_AUTH',
  'OTA_STORE_UNREACHABLE',
  'OTA_STORE_TLS',
  'OTA_STORE_FAILED',
  'OTA_STORE_BUSY',
  'OTA_STORE_NEWER',
  'OTA_STORE_FULL',
  'OTA_FLEET_UNUSED',
  'OTA_SESSION_LOST',
  'OTA_SESSION_STUCK',
  'OTA_INSTANCE_DEAF',
  'OTA_UNKNOWN_TASK',
  'OTA_TASK_STATE',
  'OTA_INTERNAL',
] as const;

export type OtaCode = (typeof OTA_CODES)[number];

/**
 * An error with a stable code and a text that says what to do.
 * Printed as `OTA_BAD_TOKEN: The access token …`; a Catch node finds the code in `msg.error.code`.
 */
export class OtaError extends Error {
  readonly code: OtaCode;

  constructor(code: OtaCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.name = code;
  }
}

/** Any thrown value as an OtaError: ours as it is, others wrapped (the original as `cause`). */
export function toOtaError(error: unknown, code: OtaCode = 'OTA_INTERNAL'): OtaError {
  if (error instanceof OtaError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new OtaError(code, text, { cause: error });
}
