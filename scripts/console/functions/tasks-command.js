export default function command(msg) {
  // Only what the pages may ask for goes on: 1 a command for tasks, 2 one that needs its package first.
  const { topic, payload } = msg;
  const FIELDS = {
    list: ['page', 'pageSize'],
    get: ['taskId'],
    preview: ['name', 'targets', 'startAt', 'policy', 'page', 'pageSize'],
    create: ['name', 'targets', 'startAt', 'policy'],
    pause: ['taskId'],
    resume: ['taskId'],
    cancel: ['taskId', 'accessTokens'],
    retry: ['taskId', 'accessTokens', 'status'],
    remove: ['taskId'],
    devices: ['taskId', 'status', 'search', 'page', 'pageSize'],
    history: ['taskId', 'accessToken'],
  };
  if (topic === 'packages') return [null, { ...msg, payload: { action: 'list' } }];
  const fields = Object.hasOwn(FIELDS, topic) ? FIELDS[topic] : null;
  if (fields === null) throw new Error(`"${topic}" is nothing that a page may ask for.`);
  const command = { action: topic, ...Object.fromEntries(fields.map((key) => [key, payload[key]])) };
  command.pageSize &&= Math.min(100, command.pageSize);
  if (topic !== 'create' && topic !== 'preview') return [{ ...msg, payload: command }, null];
  return [null, { ...msg, command, payload: { action: 'get', id: payload.packageId } }];
}
