/**
 * How many characters the texts of tasks and packages may have, counted as JavaScript does: for the commands, the
 * reports and the console's forms alike. Pure; runs in the browser too.
 */
export const MAX_TASK_NAME = 256;
export const MAX_TASK_DESCRIPTION = 1024;
/** Who asked for something, or what they say of it: texts of a task's log. */
export const MAX_NOTE = 128;
/** Of a module that a device reports, or that a filter names. */
export const MAX_MODULE_NAME = 128;
/** A field of a package that stands on one line. */
export const MAX_PACKAGE_LINE = 128;
export const MAX_PACKAGE_DESCRIPTION = 4096;
