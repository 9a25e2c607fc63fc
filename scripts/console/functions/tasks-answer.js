export default function answer(msg) {
  // 1 to the browser that asked, and to nobody else; 2 news for all where a task was changed.
  const { topic, ask, payload, _client } = msg;
  const isNews = 'create start pause resume advance update cancel retry remove'.split(' ').includes(topic);
  // Of what may be long a browser gets no more than a person looks at: the versions that most devices run, …
  const most = (all) => all.toSorted((a, b) => b.count - a.count).slice(0, 20);
  const CUT = {
    fleet: (of) => ({ ...of, versions: most(of.versions), versionCount: of.versions.length }),
    log: () => ({ ...payload, events: payload.events.slice(-100) }),
    list: () => (ask.ids ? byPackage(payload.tasks) : ask.sort ? sorted(payload, ask) : payload),
  };
  const toOne = { topic: 'answer', ask, payload: CUT[topic]?.(payload) ?? payload, _client };
  return [toOne, isNews ? { payload: { taskId: payload.taskId } } : null];
  // The tasks that need packages of a page, by the package's id: three of each, the last knows how many more.
  function byPackage(tasks) {
    const isOf = (task, id) => [task.package, ...task.packages].some((one) => one?.id === id);
    const brief = ({ taskId, name, package: of }) => ({ taskId, name: name || `${of.name} ${of.version}` });
    const needed = (id) => tasks.filter((task) => isOf(task, id)).map(brief);
    const three = (all) =>
      all.slice(0, 3).map((one, i) => ({ ...one, others: i === 2 ? all.length - 3 : 0 }));
    return Object.fromEntries(ask.ids.slice(0, 100).map((id) => [id, three(needed(id))]));
  }
  // A page in the order that is wanted.
  function sorted({ total, tasks }, { sort, page = 1, pageSize = 10 }) {
    const byName = (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true });
    tasks.sort(sort === 'failed' ? (a, b) => b.counts.failed - a.counts.failed : byName);
    const rows = tasks.slice((page - 1) * pageSize, page * Math.min(100, pageSize));
    // The list gives no more at once: a page says so.
    const left = total > tasks.length ? { most: tasks.length, of: total } : {};
    return { total: tasks.length, tasks: rows, ...left };
  }
}
