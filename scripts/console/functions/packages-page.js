export default function toPage(msg) {
  // An answer to another page isn't for this one; news are.
  const { from = 'packages' } = msg.ask ?? {};
  return from === 'packages' ? msg : null;
}
