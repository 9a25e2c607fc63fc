export default function changed(msg, { context, node }) {
  // Tells all browsers at most once a second which tasks changed. What it shows, each one asks for itself.
  const { taskId } = msg.payload;
  const tasks = context.get('tasks') ?? [];
  if (tasks.includes(taskId) || tasks.length >= 100) return;
  context.set('tasks', [...tasks, taskId]);
  // The first one sets the clock, the others go along.
  if (tasks.length > 0) return;
  const wait = (context.get('last') ?? 0) + 950 - Date.now();
  setTimeout(
    () => {
      const all = context.get('tasks') ?? [];
      context.set('tasks', []);
      context.set('last', Date.now());
      node.send({ topic: 'changed', payload: { tasks: all, more: all.length >= 100 } });
    },
    Math.max(0, wait),
  );
}
