export default function wake(msg, { env, flow, fs }) {
  // The devices start: as the file remembers them, as many as are wanted, and each reports what it runs.
  const DEFAULTS = { devices: 20, seconds: 10, failing: 5, rebooting: 0, silent: 0 };
  let saved = { fleet: flow.get('fleet'), controls: flow.get('controls') };
  if (!saved.fleet) {
    try {
      saved = JSON.parse(fs.readFileSync(env.get('SIMULATOR_FILE'), 'utf8'));
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
      saved = {};
    }
  }
  const controls = { ...DEFAULTS, ...saved.controls, ...msg.controls };
  const fleet = {};
  const reports = [];
  for (let i = 1; i <= Math.min(500, controls.devices); i += 1) {
    const accessToken = `sim-${String(i).padStart(3, '0')}`;
    const known = msg.topic === 'restart' ? undefined : saved.fleet?.[accessToken];
    const { versions } = (fleet[accessToken] = { doing: 'idle', versions: { default: 'v1.0' }, ...known });
    if (known && msg.topic === 'apply') continue;
    fleet[accessToken].doing = 'idle';
    delete fleet[accessToken].run;
    for (const module of Object.keys(versions))
      reports.push({ accessToken, payload: { module, version: versions[module] } });
  }
  flow.set('controls', controls);
  flow.set('fleet', fleet);
  return [reports, { payload: { taskId: 'simulator' } }];
}
