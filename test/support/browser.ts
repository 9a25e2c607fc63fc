/** Debian's Chromium, as the tests start it. */
import { type Browser, chromium } from 'playwright-core';
import { programPath, requireProgram } from './missing';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** A loaded machine needs long for it. */
const START_MS = 180_000;

/** Called in `before`: skips (in CI: fails) where no Chromium is installed. */
export function requireChromium(context: Mocha.Context): void {
  requireProgram(context, 'chromium');
}

/** A new one; the caller closes it. */
export function startChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: programPath('chromium'), args: FLAGS, timeout: START_MS });
}
