export default function tidy(msg, { env, fs, os, path, process }) {
  // Uploads that broke off leave nothing behind: this one, those of a browser that went away, those that an
  // earlier run left, and those that nobody went on with for an hour.
  const folder = path.resolve(env.get('UPLOAD_FOLDER') || os.tmpdir());
  if (!fs.existsSync(folder)) return;
  const isOver = (pid) => {
    try {
      return process.kill(pid, 0) !== true;
    } catch (error) {
      return error.code === 'ESRCH';
    }
  };
  for (const name of fs.readdirSync(folder)) {
    const found = /^ota-upload-(\d+)-(.+)-[0-9a-f]{16}\.part$/.exec(name);
    if (!found) continue;
    const [pid, socket] = [Number(found[1]), found[2]];
    const file = path.join(folder, name);
    const age = Date.now() - (fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    const gone =
      file === msg.filename ||
      (msg.payload === 'lost' && socket === msg._client.socketId) ||
      (pid === process.pid ? msg.topic === 'start' : isOver(pid)) ||
      age > 3_600_000;
    if (gone) fs.rmSync(file, { force: true });
  }
}
