/**
 * Settings of older releases, brought into the form that this one reads: the only place that knows older forms, for
 * the runtime and the editor's dialogs. Pure; runs in the browser too.
 */

/** The settings of one node, of whatever release. */
export type Saved = Readonly<Record<string, unknown>>;

/** Brings the settings of one node from a version to the next; a type that didn't change comes back as it is. */
export type Step = (type: string, settings: Saved) => Saved;

/**
 * The first leads from version 1 to 2, and so on: one for each release that renamed a setting or gave it another
 * meaning. A new setting needs none: what is absent has its default. The pages' `settingsVersion` goes along.
 */
const STEPS: readonly Step[] = [keepInWorkWhereHeld];

/**
 * 1 to 2: ota-push keeps what it handed out in work until a report ends it. Flows of before may report by other
 * means: only those that hold upgrades, and so expect one at a time, get it.
 */
function keepInWorkWhereHeld(type: string, settings: Saved): Saved {
  if (type !== 'ota-push' || settings['keepInWork'] !== undefined) return settings;
  return { ...settings, keepInWork: ['true', '1'].includes(String(settings['hold']).trim().toLowerCase()) };
}

/** The version that the editor's pages write. */
export const SETTINGS_VERSION = STEPS.length + 1;

/** The version of saved settings; none means the first one. null where it can't be read. */
export function settingsVersionOf({ settingsVersion }: Saved): number | null {
  if (settingsVersion === undefined || settingsVersion === null || settingsVersion === '') return 1;
  const version = Number(settingsVersion);
  return Number.isSafeInteger(version) && version >= 1 ? version : null;
}

/** Settings of a version in the newest form; those of the newest and of later ones as they are. */
export function takeSteps(
  type: string,
  saved: Saved,
  version: number,
  steps: readonly Step[] = STEPS,
): Saved {
  return steps.slice(version - 1).reduce<Saved>((before, step) => step(type, before), saved);
}
