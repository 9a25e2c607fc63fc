/** Names of files that are made of node ids. */

/** A node's id as part of a file's name: ids of subflow instances hold characters that a file name may not. */
export function fileNameOf(nodeId: string): string {
  return nodeId.replace(/[^0-9A-Za-z-]/g, (character) => `_${character.charCodeAt(0).toString(16)}`);
}
