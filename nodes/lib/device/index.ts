/** The device side: which upgrade a device works on, and the reports that must reach the platform. */
export * from './clock';
export { contentOf } from './content';
export * from './in-use';
export { readEndedFile, readJournal } from './journal';
export {
  type DeviceReport,
  readReports,
  type StepReport,
  type VersionReport,
  writeReports,
} from './report-queue';
export * from './reports';
export * from './types';
export * from './work';
