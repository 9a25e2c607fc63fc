export default function withPackage(msg) {
  // 1 the command with its packages as they are stored, not as a browser says; 2 a page of packages to choose from.
  const { command, packageIds, payload, ask, ...others } = msg;
  if (command && packageIds.length < 2)
    return [{ ...others, ask, payload: { ...command, package: payload } }, null];
  const of = (id) => payload.find((one) => one.id === id);
  if (command) {
    const packages = packageIds.map(of);
    if (packages.every(Boolean)) return [{ ...others, ask, payload: { ...command, packages } }, null];
    throw new Error('OTA_PACKAGE_NOT_FOUND: one of the packages does not exist any more.');
  }
  const words = String(ask.search ?? '')
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean);
  const text = ({ name, product, module, version }) => [name, product, module, version].join(' ');
  const isFound = (one) => words.every((word) => text(one).toLowerCase().includes(word));
  // Variants of a package have its version and module.
  const keyOf = ({ version, module }) => JSON.stringify([version, module]);
  const isLike = (one, like) => one !== like && keyOf(one) === keyOf(like);
  const [chosen, like] = [of(ask.id), of(ask.like)];
  const all = payload.filter((one) => !like || isLike(one, like));
  const newest = all.filter(isFound).sort((a, b) => b.at.localeCompare(a.at));
  // The one that is chosen stays among them.
  const first = chosen && !newest.slice(0, 19).includes(chosen) ? [chosen] : [];
  const FIELDS = ['id', 'name', 'version', 'product', 'fromVersion', 'requires'];
  const brief = (one) => Object.fromEntries(FIELDS.map((key) => [key, one[key]]));
  const packages = [...first, ...newest].slice(0, 20).map(brief);
  const alike = payload.filter((one) => chosen && isLike(one, chosen)).length;
  return [null, { ...others, ask, payload: { total: all.length, packages, alike } }];
}
