export default function command(msg) {
  // Only what the pages may ask for goes on: 1 a command for tasks, 2 one that needs its packages first.
  const { _msgid, topic, ask, payload, _client } = msg;
  const sent = { _msgid, topic, ask, payload, _client };
  const PAGE = 'page pageSize';
  const TASK = 'name description targets joining startAt endAt endBehavior draft policy';
  const ONE = 'get start pause resume advance remove log'.split(' ').map((key) => [key, 'taskId']);
  const FIELDS = {
    ...{ list: `status search ${PAGE}`, preview: `${TASK} ${PAGE}`, create: TASK },
    ...{ ...Object.fromEntries(ONE), update: 'taskId name description remark policy endAt endBehavior' },
    ...{ cancel: 'taskId accessTokens', retry: 'taskId accessTokens status reason' },
    devices: `taskId status search reason wave ${PAGE}`,
    ...{ history: 'taskId accessToken', timeline: 'taskId buckets', label: 'accessTokens labels' },
    ...{ fleet: `module version search labels ${PAGE}`, device: `accessToken ${PAGE}` },
  };
  if (topic === 'packages')
    return [null, { ...sent, ask: { ...payload, ...ask }, payload: { action: 'list' } }];
  // Which tasks need the packages of a page, or all in another order: looked for in the whole list, behind it.
  if (topic === 'tasks' || (topic === 'list' && payload.sort)) {
    const list = { action: 'list', status: payload.status, search: payload.search, pageSize: 1000 };
    return [{ ...sent, topic: 'list', ask: { ...payload, ...ask }, payload: list }, null];
  }
  if (!Object.hasOwn(FIELDS, topic)) throw new Error(`"${topic}" is nothing that a page may ask for.`);
  const given = FIELDS[topic].split(' ').map((key) => [key, payload[key]]);
  const command = Object.fromEntries(given.filter(([, value]) => value !== undefined && value !== ''));
  Object.assign(command, { action: topic }, _client.operator && { by: _client.operator });
  command.pageSize &&= Math.min(1000, command.pageSize);
  if (topic !== 'create' && topic !== 'preview') return [{ ...sent, payload: command }, null];
  const { packageIds = [] } = payload;
  const find = packageIds.length > 1 ? { action: 'list' } : { action: 'get', id: packageIds[0] };
  return [null, { ...sent, command, packageIds, payload: find }];
}
