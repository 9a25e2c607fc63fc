/** Packages downloaded and verified: the door of this folder. */
export { type Expectation, failureStep, isContentKnown, moduleOf } from './expectation';
export type { TlsOptions } from '../transfer/http';
export { Progress, type ProgressReport } from './progress';
export { type Source, type Verified, Verifier, type VerifierOptions, type VerifyRequest } from './verifier';
