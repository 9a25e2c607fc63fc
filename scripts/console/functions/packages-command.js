export default function command(msg, { env, fs, os, path, process }) {
  // Only what the page may ask for goes on: 1 a package, 2 a slice of an upload, 3 an upload to be removed, 4 tasks.
  // `since`: a package that is older was there before. `force`: a person was told which tasks need it.
  const [{ _msgid, topic, ask, payload, _client }, { id, force }] = [msg, msg.payload ?? {}];
  const [LIMIT, ALL, SPARE, COUNT] = [1024 ** 3, 4 * 1024 ** 3, 256 * 1024 ** 2, 16];
  const FIELDS = /^(name|product|module|version|signMethod|type|fromVersion|description|extData|requires)$/;
  const folder = path.resolve(env.get('UPLOAD_FOLDER') || os.tmpdir());
  const isUpload = /^[0-9a-f]{16}$/.test(ask.upload) && /^[\w-]+$/.test(_client.socketId);
  const name = `ota-upload-${process.pid}-${_client.socketId}-${ask.upload}.part`;
  const filename = isUpload ? path.join(folder, name) : '';
  const sizeOf = (file) => fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  const [size, sent] = [sizeOf(filename), { _msgid, topic, ask, payload, _client, filename }];
  const make = (one) => fs.existsSync(one) || (make(path.dirname(one)), fs.mkdirSync(one));
  if (topic === 'tasks') return [null, null, null, sent];
  if (topic === 'list') return [{ ...sent, ask: { ...payload, ...ask }, payload: { action: 'list' } }];
  if (topic === 'remove') return [{ ...sent, payload: { action: 'remove', id, force: force === true } }];
  if (topic === 'slice' && isUpload && Buffer.isBuffer(payload) && ask.offset === size) {
    make(folder); // One by one: mkdir's own "recursive" never comes back below /proc.
    const others = fs.readdirSync(folder).filter((one) => one.startsWith('ota-upload-') && one !== name);
    const sum = others.reduce((bytes, one) => bytes + sizeOf(path.join(folder, one)), size + payload.length);
    const { bavail, bsize } = fs.statfsSync(folder);
    if (others.length >= COUNT || sum > ALL || bavail * bsize < SPARE + payload.length)
      throw new Error('OTA_UPLOAD_FULL: too many uploads, or too little room on the disk.');
    if (size + payload.length <= LIMIT) return [null, sent];
  }
  if (topic === 'add' && size > 0 && ask.size === size) {
    const fields = Object.fromEntries(Object.entries(payload).filter(([key]) => FIELDS.test(key)));
    return [{ ...sent, ask: { ...ask, since: Date.now() }, payload: { action: 'add', ...fields } }];
  }
  if (topic === 'cancel') return [null, null, sent];
  throw new Error('OTA_UPLOAD: the upload does not fit together; try it again.');
}
