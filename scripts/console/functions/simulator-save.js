export default function save(msg, { env, flow, fs, path }) {
  // What the devices run outlives a restart, as it would on a real device.
  const file = env.get('SIMULATOR_FILE');
  // One by one: mkdir's own "recursive" never comes back below a folder that takes none (/proc).
  const make = (folder) => fs.existsSync(folder) || (make(path.dirname(folder)), fs.mkdirSync(folder));
  make(path.dirname(file));
  fs.writeFileSync(
    `${file}.new`,
    JSON.stringify({ fleet: flow.get('fleet'), controls: flow.get('controls') }),
  );
  fs.renameSync(`${file}.new`, file);
  return msg;
}
