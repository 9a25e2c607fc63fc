export default function fault(msg) {
  // 1 tells the browser that asked why nothing came of it; 2 removes the upload that was to be added.
  const { ask, topic, error, filename, _client } = msg;
  if (!ask) return null;
  const code = error.code ?? /^(?:\w*Error: )?(OTA_[A-Z_]+)/.exec(error.message)?.[1];
  const message = error.message.replace(/^(?:\w*Error: )?(?:OTA_[A-Z_]+: )?/, '');
  const done = topic === 'add' || topic === 'slice' ? { topic: 'done', filename } : null;
  const reason = error.cause?.key ? error.cause : undefined;
  return [{ topic: 'answer', ask, error: { code, message, reason }, _client }, done];
}
