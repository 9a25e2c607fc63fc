export default function answer(msg) {
  // 1 to the browser that asked, and to nobody else; 2 news for all where a task was changed.
  const { topic, ask, payload, _client } = msg;
  const isNews = 'create start pause resume advance update cancel retry remove'.split(' ').includes(topic);
  // The page of packages wants to know of which package a task is, and no more.
  const brief = ({ taskId, name, package: of, packages }) => ({
    ...{ taskId, name, package: { id: of.id, name: of.name, version: of.version } },
    packages: (packages ?? []).map(({ id }) => ({ id })),
  });
  const given = ask.brief ? { tasks: payload.tasks.map(brief) } : payload;
  return [
    { topic: 'answer', ask, payload: given, _client },
    isNews ? { payload: { taskId: payload.taskId } } : null,
  ];
}
