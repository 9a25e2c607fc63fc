export default function take(msg, { flow, node }) {
  // An upgrade came. Whose it is, what becomes of it: decided now. The device begins within two seconds.
  const { accessToken, payload } = msg;
  const fleet = flow.get('fleet') ?? {};
  const device = Object.hasOwn(fleet, accessToken) ? fleet[accessToken] : null;
  // One of a real device: none of our business.
  if (device === null) return null;
  const { silent, failing, rebooting } = flow.get('controls');
  const dice = Math.random() * 100;
  if (dice < silent) device.fate = 'silent';
  else if (dice < silent + failing) device.fate = 'fails';
  else device.fate = dice < silent + failing + rebooting ? 'reboots' : 'upgrades';
  device.doing = device.fate === 'silent' ? 'silent' : 'downloading';
  device.run = payload.id;
  flow.set('fleet', fleet);
  if (device.fate !== 'silent') setTimeout(() => node.send([msg, null]), Math.random() * 2000);
  return [null, { payload: { taskId: 'simulator' } }];
}
