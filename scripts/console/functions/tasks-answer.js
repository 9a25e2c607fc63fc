export default function answer(msg) {
  // 1 to the browser that asked, and to nobody else; 2 news for all where a task was changed.
  const { topic, ask, payload, _client } = msg;
  const isNews = 'create start pause resume advance update cancel retry remove'.split(' ').includes(topic);
  // Of what may be long a browser gets no more than a person looks at.
  const CUT = {
    fleet: () => ({ ...payload, versions: payload.versions.slice(0, 20) }),
    log: () => ({ ...payload, events: payload.events.slice(-100) }),
    list: () => (ask.ids ? byPackage(payload.tasks) : ask.sort ? sorted(payload) : payload),
  };
  const toOne = { topic: 'answer', ask, payload: CUT[topic]?.() ?? payload, _client };
  return [toOne, isNews ? { payload: { taskId: payload.taskId } } : null];

  // The tasks that need packages of a page, three of each, by the package's id.
  function byPackage(tasks) {
    const isOf = (task, id) => [task.package, ...task.packages].some((one) => one?.id === id);
    const brief = ({ taskId, name, package: of }) => ({ taskId, name: name || `${of.name} ${of.version}` });
    const needed = (id) => tasks.filter((task) => isOf(task, id)).slice(0, 3);
    return Object.fromEntries(ask.ids.slice(0, 100).map((id) => [id, needed(id).map(brief)]));
  }

  // A page in the order that is wanted.
  function sorted({ total, tasks }) {
    const { sort, page = 1, pageSize = 10 } = ask;
    const byName = (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true });
    tasks.sort(sort === 'failed' ? (a, b) => b.counts.failed - a.counts.failed : byName);
    const rows = tasks.slice((page - 1) * pageSize, page * Math.min(100, pageSize));
    // The list gives no more at once: a page says so.
    const left = total > tasks.length ? { most: tasks.length, of: total } : {};
    return { total: tasks.length, tasks: rows, ...left };
  }
}
