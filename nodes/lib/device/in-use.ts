/**
 * Which upgrades are in use in this process: what was handed out and isn't finally reported and acknowledged yet.
 * Owns the list that other nodes ask; must never decide when an upgrade ends (see upgrades.ts).
 */

/** What identifies an upgrade and its file. */
export interface UpgradeInUse {
  readonly accessToken: string;
  readonly module: string;
  readonly version: string;
  /** Bytes; null where the platform named none. */
  readonly size: number | null;
  /** As it came, any case; null where the platform named none. */
  readonly signMethod: string | null;
  /** As it came, any case; null where the platform named none. */
  readonly sign: string | null;
  readonly url: string | null;
}

/** Somebody who hands upgrades out: one ota-push node. */
export interface UpgradeOwner {
  /** What it handed out and what may still need its file. */
  inUse(): readonly UpgradeInUse[];
  /** Work on an upgrade was broken off by a deploy: it is to be handed out again. */
  interrupted(accessToken: string, module: string): void;
}

/** By node id. A node that is being redeployed stays until its successor takes its place. */
const owners = new Map<string, UpgradeOwner>();

/** Takes the place of the earlier owner with this node id. */
export function registerOwner(nodeId: string, owner: UpgradeOwner): void {
  owners.set(nodeId, owner);
}

/** To be called when a node is removed or disabled; what it handed out is in use no more. */
export function unregisterOwner(nodeId: string, owner: UpgradeOwner): void {
  if (owners.get(nodeId) === owner) owners.delete(nodeId);
}

/**
 * Every upgrade of every ota-push node whose file must not be deleted now: in work, or ended by a report that
 * the broker hasn't acknowledged yet.
 */
export function upgradesInUse(): readonly UpgradeInUse[] {
  return [...owners.values()].flatMap((owner) => owner.inUse());
}

/**
 * A node was closed by a deploy in the middle of its work on an upgrade (a download, say): whoever handed the
 * upgrade out does so again once the flows have started.
 */
export function upgradeInterrupted(accessToken: string, module: string): void {
  for (const owner of owners.values()) owner.interrupted(accessToken, module);
}
