export default function answer(msg) {
  // The answer goes to the browser that asked, the news to all, an upload that was added to be removed.
  const { topic, ask, payload, filename, _client } = msg;
  const isSlice = topic === 'slice';
  const toOne = { topic: 'answer', ask, payload: isSlice ? {} : payload, _client };
  const toAll = ['add', 'remove'].includes(topic) ? { topic: 'changed', payload: { packages: true } } : null;
  const done = topic === 'add' ? { topic: 'done', filename } : null;
  return [[toOne, toAll].filter(Boolean), done];
}
