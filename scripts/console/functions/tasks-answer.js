export default function answer(msg) {
  // 1 to the browser that asked, and to nobody else; 2 news for all where a task was changed.
  const { topic, ask, payload, _client } = msg;
  const isNews = 'create start pause resume advance update cancel retry remove'.split(' ').includes(topic);
  return [
    { topic: 'answer', ask, payload, _client },
    isNews ? { payload: { taskId: payload.taskId } } : null,
  ];
}
