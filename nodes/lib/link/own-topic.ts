/** The topic of a session's own messages: what comes on it stands behind all that the broker had kept. */
export function ownTopic(clientId: string): string {
  return `node-red-ota/session/${clientId}`;
}
