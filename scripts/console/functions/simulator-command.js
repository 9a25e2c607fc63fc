export default function command(msg, { flow }) {
  // 1 the answer to the page, 2 new controls or a restart for the devices.
  const { topic, ask, payload, _client } = msg;
  const answer = (given) => ({ topic: 'answer', ask, payload: given, _client });
  if (topic === 'restart') return [answer({}), { topic, controls: {} }];
  if (topic === 'apply') {
    const controls = {};
    for (const key of ['devices', 'seconds', 'failing', 'rebooting', 'silent']) {
      const value = Math.round(Number(payload[key]));
      const least = key === 'devices' || key === 'seconds' ? 1 : 0;
      const most = { devices: 500, seconds: 600 }[key] ?? 100;
      if (Number.isFinite(value)) controls[key] = Math.min(most, Math.max(least, value));
    }
    return [answer(controls), { topic, controls }];
  }
  const doing = { idle: 0, downloading: 0, installing: 0, failed: 0, silent: 0 };
  const versions = {};
  for (const device of Object.values(flow.get('fleet') ?? {})) {
    doing[device.doing] += 1;
    for (const [module, version] of Object.entries(device.versions)) {
      const name = module === 'default' ? version : `${version} (${module})`;
      versions[name] = (versions[name] ?? 0) + 1;
    }
  }
  return [answer({ doing, versions, controls: flow.get('controls') }), null];
}
