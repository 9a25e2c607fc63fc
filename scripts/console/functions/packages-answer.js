export default function answer(msg) {
  // The answer goes to the browser that asked, the news to all, an upload that was added to be removed.
  const { topic, ask, payload, filename, _client } = msg;
  const PAYLOADS = {
    slice: () => ({}),
    list: () => pageOf(payload, ask),
    add: () => ({ ...payload, twice: Date.parse(payload.at) < ask.since }),
  };
  const toOne = { topic: 'answer', ask, payload: PAYLOADS[topic]?.() ?? payload, _client };
  const toAll = ['add', 'remove'].includes(topic) ? { topic: 'changed', payload: { packages: true } } : null;
  const done = topic === 'add' ? { topic: 'done', filename } : null;
  return [[toOne, toAll].filter(Boolean), done];

  // A page of what is searched for, in the order that is wanted; a browser gets no more.
  function pageOf(all, { search = '', sort = 'at', page = 1, pageSize = 10 }) {
    const words = String(search).toLowerCase().split(/\s+/).filter(Boolean);
    const texts = ({ name, product, module, version, description }) =>
      [name, product, module, version, description].join(' ').toLowerCase();
    const found = all.filter((one) => words.every((word) => texts(one).includes(word)));
    const byText = (a, b) => String(a[sort]).localeCompare(String(b[sort]), undefined, { numeric: true });
    const orders = { at: (a, b) => b.at.localeCompare(a.at), size: (a, b) => b.size - a.size };
    found.sort(orders[sort] ?? byText);
    const size = Math.min(100, pageSize);
    return { total: found.length, all: all.length, packages: found.slice((page - 1) * size, page * size) };
  }
}
