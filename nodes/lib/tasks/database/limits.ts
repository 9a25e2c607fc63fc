/** Limits that every database keeps to, and values that each of them writes and reads the same. */

/** Lines that are kept of a task's log. */
export const MAX_LOG = 1000;
/** Versions in an answer at most: hostile devices can name any number. */
export const MAX_VERSIONS = 1000;
/** No module has this number. */
export const NO_MODULE = 0;
/** Tasks whose rules are kept at least; more where more are live, since each look at them reads all. */
export const MIN_PLANS = 1000;
/** Names of modules that are kept in memory: honest fleets have a few. */
export const MAX_KEPT_MODULES = 10_000;
/** Rows of history, and devices whose late reports are waited for, that are looked at in one pruning. */
export const PRUNE_SLICE = 2000;
/** Devices that are looked at for room at once. */
export const ROOM_SLICE = 200;
/** The end of all texts that begin with a prefix. */
export const LAST_CHARACTER = '\u{10FFFF}';
