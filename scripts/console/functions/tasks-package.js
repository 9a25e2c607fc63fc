export default function withPackage(msg) {
  // 1 the command with the package as it is stored, not as a browser says; 2 the list of packages.
  const { command, payload } = msg;
  delete msg.command;
  if (!command) {
    const named = payload.slice(0, 200).map(({ id, name, version }) => ({ id, name, version }));
    return [null, { ...msg, payload: named }];
  }
  return [{ ...msg, payload: { ...command, package: payload } }, null];
}
