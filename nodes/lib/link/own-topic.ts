/** Messages that a session sends to itself: what comes so stands behind all that the broker had kept. */

export function ownTopic(clientId: string): string {
  return `node-red-ota/session/${clientId}`;
}

/** One that the broker has acknowledged doesn't come any more after so many milliseconds of silence. */
export const OWN_MESSAGE_MS = 5000;
