export default function withPackage(msg) {
  // 1 the command with the package as it is stored, not as a browser says; 2 a page of packages to choose from.
  const { command, payload, ask } = msg;
  delete msg.command;
  if (command) return [{ ...msg, payload: { ...command, package: payload } }, null];
  const words = String(ask.search ?? '')
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean);
  const isFound = ({ name, product, module, version }) => {
    const text = [name, product, module, version].join(' ').toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const brief = ({ id, name, version, product }) => ({ id, name, version, product });
  const newest = payload.filter(isFound).sort((a, b) => b.at.localeCompare(a.at));
  // The one that is chosen stays among them.
  const chosen = payload.filter(
    ({ id }) => id === ask.id && !newest.slice(0, 19).some((one) => one.id === id),
  );
  const packages = [...chosen, ...newest].slice(0, 20).map(brief);
  return [null, { ...msg, payload: { total: payload.length, packages } }];
}
