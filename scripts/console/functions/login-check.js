export default function check(msg) {
  // A login that guards the page but not its socket guards nothing: then nothing that a page asks is done.
  const { login } = msg._client ?? {};
  if (login && login !== 'socket-open') return msg;
  throw new Error(
    'OTA_CONSOLE_LOGIN: the login guards this page, but not its connection: anybody could send commands. ' +
      'Set dashboard.ioMiddleware in settings.js as well, as the documentation of the console shows.',
  );
}
