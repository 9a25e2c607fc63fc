export default function command(msg) {
  // Only what the pages may ask for goes on: 1 a command for tasks, 2 one that needs its package first.
  const { topic, payload, _client } = msg;
  const PAGE = ['page', 'pageSize'];
  const TASK = 'name description targets joining startAt endAt endBehavior draft policy'.split(' ');
  const FIELDS = {
    ...{ list: ['status', 'search', ...PAGE], get: ['taskId'], preview: [...TASK, ...PAGE], create: TASK },
    ...{ start: ['taskId'], pause: ['taskId'], resume: ['taskId'], advance: ['taskId'], remove: ['taskId'] },
    ...{ update: ['taskId', 'name', 'remark', 'policy', 'endAt'], cancel: ['taskId', 'accessTokens'] },
    retry: ['taskId', 'accessTokens', 'status', 'reason'],
    devices: ['taskId', 'status', 'search', 'reason', 'wave', ...PAGE],
    ...{ history: ['taskId', 'accessToken'], log: ['taskId'], timeline: ['taskId', 'buckets'] },
    fleet: ['module', 'version', 'search', 'labels', ...PAGE],
    ...{ device: ['accessToken', ...PAGE], label: ['accessTokens', 'labels'] },
  };
  if (topic === 'packages') return [null, { ...msg, payload: { action: 'list' } }];
  const fields = Object.hasOwn(FIELDS, topic) ? FIELDS[topic] : null;
  if (fields === null) throw new Error(`"${topic}" is nothing that a page may ask for.`);
  const given = fields
    .map((key) => [key, payload[key]])
    .filter(([, value]) => value !== undefined && value !== '');
  const command = { action: topic, ...Object.fromEntries(given) };
  if (_client.operator) command.by = _client.operator;
  command.pageSize &&= Math.min(1000, command.pageSize);
  if (topic !== 'create' && topic !== 'preview') return [{ ...msg, payload: command }, null];
  return [null, { ...msg, command, payload: { action: 'get', id: payload.packageId } }];
}
