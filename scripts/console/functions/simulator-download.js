export default function download(msg, { flow }) {
  // How far the download is, in numbers only: a device has no language. 1 the report, 2 news for the page.
  const { step, desc, module, code } = msg.payload;
  const fleet = flow.get('fleet') ?? {};
  if (step < 0 && fleet[msg.accessToken]) {
    fleet[msg.accessToken].doing = 'failed';
    flow.set('fleet', fleet);
  }
  msg.payload = { step, module, desc: step < 0 ? (code ?? desc) : '' };
  return [msg, step < 0 ? { payload: { taskId: 'simulator' } } : null];
}
