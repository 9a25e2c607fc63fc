/** The device side: which upgrade a device works on, and the reports that must reach the platform. */
export * from './in-use';
