export default function save(msg, { env, flow, fs, path }) {
  // What the devices run outlives a restart, as it would on a real device.
  const file = env.get('SIMULATOR_FILE');
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(
    `${file}.new`,
    JSON.stringify({ fleet: flow.get('fleet'), controls: flow.get('controls') }),
  );
  fs.renameSync(`${file}.new`, file);
  return msg;
}
