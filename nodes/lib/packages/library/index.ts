/** The library of packages: the door of this folder. */
export { FILES_PATH, fileUrl, readBaseUrl, safeName } from './addresses';
export { type PackageFields, type PackageType, readFields } from './fields';
export { type AddRequest, Library, type ServedFile } from './library';
export type { Package } from './record';
export { acquireLibrary, type LibraryLease } from './shared';
export type { PackageSource } from './import-file';
