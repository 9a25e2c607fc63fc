export default function install(msg, { flow, node }) {
  // The package is there and verified: the device installs it at its own pace. 1 progress, 2 version, 3 news.
  const { accessToken, payload } = msg;
  const { id, module, version } = payload;
  const device = () => (flow.get('fleet') ?? {})[accessToken];
  const change = (changes) => {
    const fleet = flow.get('fleet');
    Object.assign(fleet[accessToken], changes);
    flow.set('fleet', fleet);
    return { payload: { taskId: 'simulator' } };
  };
  const progress = (step, desc = '') => ({ accessToken, payload: { step, module, desc } });
  const report = (now) => ({ accessToken, payload: { module, version: now } });
  if (device()?.run !== id) return null;
  const perSecond = 70 / (flow.get('controls').seconds * (0.5 + Math.random()));
  const end = device().fate === 'upgrades' ? 100 : 40 + Math.random() * 50;
  let step = 30;
  const timer = setInterval(() => {
    step += perSecond;
    if (device()?.run === id && step < end) return node.send([progress(Math.floor(step)), null, null]);
    clearInterval(timer);
    // A restart or a newer upgrade came between.
    if (device()?.run !== id) return;
    const { fate, versions } = device();
    if (fate === 'fails') return node.send([progress(-4, 'E-17'), null, change({ doing: 'failed' })]);
    if (fate === 'reboots') return node.send([null, report(versions[module]), change({ doing: 'idle' })]);
    const news = change({ doing: 'idle', versions: { ...versions, [module]: version } });
    node.send([progress(100), report(version), news]);
  }, 1000);
  node.send([null, null, change({ doing: 'installing' })]);
}
