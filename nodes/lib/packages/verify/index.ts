/** Packages downloaded and verified: the door of this folder. */
export { type Expectation, failureStep, isContentKnown, moduleOf } from './check';
export { DEFAULT_RETRIES } from './download';
export { parseHostList } from './host-rules';
export type { TlsOptions } from './http-get';
export { Progress, type ProgressReport } from './progress';
export { type Source, type Verified, Verifier, type VerifierOptions, type VerifyRequest } from './verifier';
