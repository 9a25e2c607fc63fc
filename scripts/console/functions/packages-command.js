export default function command(msg, { env, fs, os, path, process }) {
  // Only what the page may ask for goes on: 1 a command, 2 a slice of an upload, 3 an upload to be removed.
  const { topic, ask, payload, _client } = msg;
  const LIMIT = 1024 ** 3;
  const FIELDS = 'name product module version signMethod type fromVersion description extData'.split(' ');
  const isUpload = /^[0-9a-f]{16}$/.test(ask.upload) && /^[\w-]+$/.test(_client.socketId);
  const name = `ota-upload-${process.pid}-${_client.socketId}-${ask.upload}.part`;
  const file = isUpload ? path.join(env.get('UPLOAD_FOLDER') || os.tmpdir(), name) : '';
  const size = isUpload && fs.existsSync(file) ? fs.statSync(file).size : 0;
  delete msg.content;
  msg.filename = file;
  if (topic === 'list' || topic === 'remove') {
    msg.payload = { action: topic, id: payload.id };
    return [msg, null, null];
  }
  if (topic === 'slice' && isUpload && Buffer.isBuffer(payload)) {
    if (ask.offset === size && size + payload.length <= LIMIT) return [null, msg, null];
  }
  if (topic === 'add' && size > 0 && ask.size === size) {
    msg.payload = { action: 'add', ...Object.fromEntries(FIELDS.map((key) => [key, payload[key]])) };
    return [msg, null, null];
  }
  if (topic === 'cancel') return [null, null, msg];
  throw new Error('OTA_UPLOAD: the upload does not fit together; try it again.');
}
