export default function toPage(msg) {
  // An answer goes to the page that asked for it: fleet, device, tasks or one task. News go to all of them.
  const PAGES = ['fleet', 'device', 'tasks', 'devices'];
  const { from } = msg.ask ?? {};
  return PAGES.map((one) => (from === one || from === undefined ? msg : null));
}
