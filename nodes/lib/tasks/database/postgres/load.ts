/**
 * What a transaction reads of PostgreSQL: everything that its need names is loaded and locked ahead, set by set, and
 * looked up afterwards without the database. Writes nothing.
 */
import {
  effectiveLabels,
  isOpen,
  type Member,
  NO_LABELS,
  type OwnLabels,
  queueRank,
  type TurnFacts,
} from '../../machine';
import {
  type Device,
  type HistoryEvent,
  HOLDS,
  type KnownDevice,
  type Labels,
  type Task,
  type TaskPlan,
  type WaveCounts,
} from '../../types';
import type { Found, Instant, KnownModule, Need, Rows, Search, Searched } from '../database';
import {
  dueIn,
  queueStart,
  type SqlRow,
  statusCode,
  toDevice,
  toHistory,
  toKnownModules,
  toTask,
  toWaveCounts,
} from '../rows';
import type { Transaction } from './driver';
import type { KeyCache } from './keys';
import * as sql from './statements';

/** What does not change within a process, for a load. */
export interface LoadContext {
  readonly keys: KeyCache;
  readonly service: number;
  /** The instance's own row; null where nobody shares the database. */
  readonly member: number | null;
  /** Whose time a decision counts with: the database's, or the caller's. */
  readonly time: 'database' | 'caller';
  /** How many devices more may be remembered, over all fleets. */
  readonly room: number;
}

/** The instance was taken over by another one: nothing may be written in its name, whatever it heard or decided. */
export class FencedError extends Error {}

/** The counts of a task's open wave, as `sql.TASK` has them. */
function openWave(row: SqlRow): WaveCounts {
  const names = ['total', 'waiting', 'active', 'succeeded', 'failed', 'incompatible', 'cancelled'];
  return toWaveCounts(Object.fromEntries(names.map((name) => [name, row[`open_${name}`] ?? 0])));
}

/** A task from its whole row; null where it isn't visible. */
export function taskOf(keys: KeyCache, row: SqlRow | undefined): Task | null {
  const plan = row === undefined ? null : keys.keep(row);
  return row === undefined || plan === null ? null : toTask(row, plan, openWave(row));
}

/** A row of `tokens`. */
export function toOwnLabels(row: SqlRow | undefined): (OwnLabels & { readonly seenAt: number }) | null {
  if (row === undefined) return null;
  return {
    operator: JSON.parse(row['operator'] as string) as Labels,
    device: JSON.parse(row['device'] as string) as Labels,
    seenAt: (row['seen_at'] as number | null) ?? 0,
  };
}

export function toKnown(row: SqlRow): KnownDevice {
  return {
    version: row['version'] as string,
    lastId: row['last_id'] as string | null,
    at: row['at'] as number,
    retained: row['retained'] === 1,
  };
}

function groupBy<K extends string | number = string>(
  rows: readonly SqlRow[],
  column: string,
): Map<K, SqlRow[]> {
  const groups = new Map<K, SqlRow[]>();
  for (const row of rows) {
    const key = row[column] as K;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  return groups;
}

interface Loaded {
  readonly at: Instant;
  readonly task: Task | null;
  readonly waves: ReadonlyMap<number, WaveCounts>;
  readonly devices: readonly SqlRow[];
  /** Rows that a search found, in its order. */
  readonly found: readonly SqlRow[];
  readonly plans: ReadonlyMap<number, TaskPlan>;
  readonly facts: ReadonlyMap<number, SqlRow>;
  readonly known: readonly SqlRow[];
  readonly tokens: readonly SqlRow[];
  readonly joining: readonly Task[];
  /** Devices that those with `supersede` have: `task`, `token`. */
  readonly taken: readonly SqlRow[];
  readonly histories: readonly SqlRow[];
  readonly searched: Searched;
  readonly unknown: number;
  readonly lastName: number;
  readonly commandElsewhere: boolean;
}

export class PostgresRows implements Rows {
  readonly at: Instant;
  readonly task: Task | null;
  readonly commandElsewhere: boolean;
  readonly joining: readonly Task[];
  readonly found: readonly Found[];
  readonly searched: Searched;
  readonly unknown: number;
  /** The last of the names that were read, by its number; 0 where none was. */
  readonly lastName: number;
  /** Rows that were due and belong to no task any more. */
  readonly orphans: readonly number[];
  readonly #context: LoadContext;
  readonly #taken: readonly SqlRow[];
  readonly #waves: ReadonlyMap<number, WaveCounts>;
  readonly #open = new Map<string, Member[]>();
  /** Closed rows, also of tasks that aren't visible, by token and module; the newest only. */
  readonly #latest = new Map<string, { readonly id: number; readonly member: Member | null }>();
  readonly #byId = new Map<number, Member>();
  readonly #inWork = new Set<string>();
  readonly #known: ReadonlyMap<string, readonly SqlRow[]>;
  readonly #tokens: ReadonlyMap<string, readonly SqlRow[]>;
  readonly #histories: ReadonlyMap<number, readonly SqlRow[]>;

  constructor(loaded: Loaded, context: LoadContext) {
    this.at = loaded.at;
    this.task = loaded.task;
    this.commandElsewhere = loaded.commandElsewhere;
    this.joining = loaded.joining;
    this.#taken = loaded.taken;
    this.searched = loaded.searched;
    this.unknown = loaded.unknown;
    this.lastName = loaded.lastName;
    this.#context = context;
    this.#waves = loaded.waves;
    this.#known = groupBy(loaded.known, 'token');
    this.#tokens = groupBy(loaded.tokens, 'token');
    this.#histories = groupBy<number>(loaded.histories, 'device');
    for (const row of loaded.devices) this.#take(row, loaded.plans);
    const orphans: number[] = [];
    this.found = loaded.found.flatMap((row): Found[] => {
      const member = this.#byId.get(row['id'] as number);
      if (member === undefined) {
        orphans.push(row['id'] as number);
        return [];
      }
      const facts = loaded.facts.get(member.device.id);
      return [
        { ...member, facts: facts === undefined ? null : this.#turnFacts(member, facts), due: dueIn(row) },
      ];
    });
    this.orphans = orphans;
  }

  wave(number: number): WaveCounts {
    return this.#waves.get(number) ?? toWaveCounts(undefined);
  }

  open(accessToken: string): readonly Member[] {
    return this.#open.get(accessToken) ?? [];
  }

  latest(accessToken: string, module: string): Member | null {
    return this.#latest.get(keyOf(accessToken, module))?.member ?? null;
  }

  busy(accessToken: string, module: string): readonly Member[] {
    return this.open(accessToken).filter(
      ({ device, plan }) => device.hold === 'busy' && plan.upgrade.module === module,
    );
  }

  known(accessToken: string, module: string): KnownDevice | null {
    const row = this.#known.get(accessToken)?.find((each) => each['module'] === module);
    return row === undefined ? null : toKnown(row);
  }

  hasRoom(_accessToken: string, _module: string, taken: number): boolean {
    return taken < this.#context.room;
  }

  isTaken(accessToken: string, { id }: Task): boolean {
    return this.#taken.some((row) => row['task'] === id && row['token'] === accessToken);
  }

  labels(accessToken: string): OwnLabels {
    return toOwnLabels(this.#tokens.get(accessToken)?.[0]) ?? NO_LABELS;
  }

  /** The labels as they are stored: by these a change is known that another instance has made meanwhile. */
  labelTexts(accessToken: string): { readonly operator: string; readonly device: string } {
    const row = this.#tokens.get(accessToken)?.[0];
    return {
      operator: (row?.['operator'] ?? '{}') as string,
      device: (row?.['device'] ?? '{}') as string,
    };
  }

  modules(accessToken: string): readonly KnownModule[] {
    const seenAt = toOwnLabels(this.#tokens.get(accessToken)?.[0])?.seenAt ?? 0;
    return toKnownModules(this.#known.get(accessToken) ?? [], seenAt);
  }

  isInWork(accessToken: string): boolean {
    return this.#inWork.has(accessToken);
  }

  device(id: number): Member | null {
    return this.#byId.get(id) ?? null;
  }

  history(id: number): readonly HistoryEvent[] {
    return (this.#histories.get(id) ?? []).flatMap(toHistory);
  }

  #take(row: SqlRow, plans: ReadonlyMap<number, TaskPlan>): void {
    const device = toDevice(row);
    const plan = plans.get(device.task);
    const member = plan === undefined ? null : { device, plan };
    if (device.status === 'pending' || device.status === 'pushed' || device.status === 'upgrading') {
      this.#inWork.add(device.accessToken);
    }
    if (member !== null) this.#byId.set(device.id, member);
    if (isOpen(device)) {
      if (member === null) return;
      const open = this.#open.get(device.accessToken);
      if (open === undefined) this.#open.set(device.accessToken, [member]);
      else open.push(member);
      return;
    }
    const key = keyOf(device.accessToken, row['module'] as string);
    if ((this.#latest.get(key)?.id ?? -1) < device.id) this.#latest.set(key, { id: device.id, member });
  }

  #turnFacts({ device }: Member, row: SqlRow): TurnFacts {
    const own = row['operator'] === null ? null : toOwnLabels(row);
    return {
      knownVersion: row['known'] as string | null,
      knownAt: row['known_at'] as number | null,
      labels: own === null ? {} : effectiveLabels(own),
      open: this.open(device.accessToken),
      lateReportUntil: row['until'] as number | null,
      newer:
        row['key'] === null
          ? null
          : { taskId: row['key'] as string, name: row['name'] as string, version: row['version'] as string },
    };
  }
}

/** No token has a NUL in it. */
function keyOf(accessToken: string, module: string): string {
  return `${accessToken}\0${module}`;
}

/** Loads and locks what a need names. */
export async function load(
  transaction: Transaction,
  context: LoadContext,
  need: Need,
): Promise<PostgresRows> {
  const { keys, service, member } = context;
  const tokens = need.tokens === undefined ? [] : [...new Set(need.tokens)];
  const isQueue = need.search?.in === 'queue';
  // All of this goes out at once.
  const time = loadTime(transaction, context, need);
  const locked =
    need.task === undefined
      ? null
      : transaction.read(isQueue ? sql.TRY_LOCK_TASK : sql.LOCK_TASK, [need.task]);
  const taskRow = need.task === undefined ? null : transaction.read(sql.TASK_BY_ID, [need.task, member ?? 0]);
  const waves =
    need.waves === true && need.task !== undefined ? transaction.read(sql.WAVES, [need.task]) : null;
  const isNamed = need.tokens !== undefined || (need.devices?.length ?? 0) > 0;
  const named = isNamed
    ? transaction.read(sql.LOCK_TOKENS, [service, tokens, [...(need.devices ?? [])]])
    : null;
  const known = tokens.length === 0 ? null : transaction.read(sql.KNOWN, [service, tokens]);
  const labels = tokens.length === 0 ? null : transaction.read(sql.TOKENS, [service, tokens]);
  const joining = tokens.length === 0 ? null : transaction.read(sql.JOINING_TASKS, [service]);
  const searched =
    need.search === undefined || isQueue ? null : search(transaction, context, need, need.search);
  const at = await time;
  const isLocked = locked === null || (await locked).length > 0;
  const row = (await taskRow)?.[0];
  const task = isLocked ? taskOf(keys, row) : null;
  const found =
    need.search?.in === 'queue'
      ? await queue(transaction, context, { task, at, room: need.search.room })
      : ((await searched) ?? NOTHING);
  const devices = [...((await named) ?? []), ...found.devices];
  const facts =
    isQueue || need.search?.in === 'asking'
      ? await loadFacts(transaction, found.found, { repeats: !isQueue })
      : NO_FACTS;
  const histories = await loadHistories(transaction, need, devices);
  const joiners = ((await joining) ?? []).flatMap((row) => taskOf(keys, row) ?? []);
  return new PostgresRows(
    {
      at,
      task,
      waves: new Map(((await waves) ?? []).map((row) => [row['wave'] as number, toWaveCounts(row)])),
      devices,
      found: found.found,
      plans: await keys.plansOf(transaction, devices),
      facts,
      known: (await known) ?? [],
      tokens: (await labels) ?? [],
      joining: joiners,
      taken: await loadTaken(transaction, joiners, tokens),
      histories,
      searched: found.searched,
      unknown: found.unknown,
      lastName: found.lastName,
      commandElsewhere: Boolean(row?.['elsewhere']),
    },
    { ...context, member },
  );
}

/** Which devices the joining tasks with `supersede` that have begun have already: nearly always there is no such task. */
async function loadTaken(
  transaction: Transaction,
  joining: readonly Task[],
  tokens: readonly string[],
): Promise<readonly SqlRow[]> {
  const ids = joining
    .filter(({ policy, startedAt }) => policy.supersede && startedAt !== null)
    .map(({ id }) => id);
  return ids.length === 0 ? [] : transaction.read(sql.TAKEN, [ids, tokens]);
}

/** Of the rows that are locked, those of the devices whose history is asked for: nearly always none is. */
async function loadHistories(
  transaction: Transaction,
  { histories = [] }: Need,
  devices: readonly SqlRow[],
): Promise<readonly SqlRow[]> {
  const tokens = new Set(histories);
  const ids = devices.filter((row) => tokens.has(row['token'] as string)).map((row) => row['id'] as number);
  return ids.length === 0 ? [] : transaction.read(sql.HISTORIES, [ids]);
}

const NO_FACTS: ReadonlyMap<number, SqlRow> = new Map();

async function loadTime(
  transaction: Transaction,
  { service, member, time }: LoadContext,
  need: Need,
): Promise<Instant> {
  if (time === 'caller') return need.at;
  // Whatever an instance writes: one that was frozen and adopted writes nothing more, pushes and commands included.
  if (member !== null) return fence(transaction, member);
  return toInstant(await transaction.read(sql.TIME, [service]));
}

/**
 * This moment, where the instance still lives; whoever adopts it waits for the end of the transaction.
 * @throws FencedError where it was adopted: nothing may be written
 */
export async function fence(transaction: Transaction, member: number): Promise<Instant> {
  return toInstant(await transaction.read(sql.FENCED_TIME, [member]));
}

function toInstant([row]: readonly SqlRow[]): Instant {
  if (row === undefined)
    throw new FencedError('This instance was taken over by another one; it comes back as a new one.');
  return { wall: row['wall'] as number, ticks: Math.round(row['clock'] as number) };
}

interface SearchResult {
  /** All rows of the devices that were found. */
  readonly devices: readonly SqlRow[];
  readonly found: readonly SqlRow[];
  readonly searched: Searched;
  readonly unknown: number;
  readonly lastName: number;
}

const NOTHING: SearchResult = {
  devices: [],
  found: [],
  searched: { count: 0, last: null },
  unknown: 0,
  lastName: 0,
};

/** Rows that were found, whole devices only, in the order of the search; a row that has changed since is left out. */
function sorted(rows: readonly SqlRow[], isStill: (row: SqlRow) => boolean): SearchResult {
  const got = new Map<string, number>();
  for (const row of rows) got.set(row['token'] as string, (got.get(row['token'] as string) ?? 0) + 1);
  const devices = rows.filter(({ whole, token }) => whole === null || got.get(token as string) === whole);
  const place = (row: SqlRow): number => Number(row['place']);
  const inOrder = (some: readonly SqlRow[]): SqlRow[] =>
    some.filter((row) => row['place'] !== null).sort((a, b) => place(a) - place(b));
  const last = inOrder(rows).at(-1);
  return {
    ...NOTHING,
    devices,
    found: inOrder(devices).filter(isStill),
    searched: last === undefined ? NOTHING.searched : { count: place(last), last: last['token'] as string },
  };
}

async function search(
  transaction: Transaction,
  { service, member }: LoadContext,
  { task = 0, at }: Need,
  what: Exclude<Search, { in: 'queue' }>,
): Promise<SearchResult> {
  switch (what.in) {
    case 'due':
      return due(transaction, service, what);
    case 'asking': {
      const rows = await transaction.read(sql.FIND_ASKING, [service, task, what.accessTokens]);
      return sorted(rows, () => true);
    }
    case 'pushed': {
      const values = [
        service,
        task,
        what.after,
        what.since,
        what.limit,
        what.own === true ? (member ?? 0) : 0,
      ];
      const rows = await transaction.read(sql.FIND_PUSHED, values);
      return sorted(rows, (row) => row['status'] === statusCode('pushed'));
    }
    case 'waiting': {
      const rows = await transaction.read(sql.FIND_WAITING, [service, task, what.after, what.limit]);
      return sorted(rows, (row) => toDevice(row).hold === 'wait');
    }
    case 'task': {
      const code = statusCode(what.status);
      const rows = await transaction.read(sql.FIND_OF_TASK, [service, task, code, what.after, what.limit]);
      return sorted(rows, (row) => row['status'] === code);
    }
    case 'hold': {
      const code = HOLDS.indexOf(what.hold);
      const rows = await transaction.read(sql.FIND_OF_HOLD, [service, task, code, what.after, what.limit]);
      return sorted(rows, (row) => row['hold'] === code);
    }
    case 'names':
      return names(transaction, service, { task, limit: what.limit, at });
  }
}

async function due(
  transaction: Transaction,
  service: number,
  { until, limit }: { readonly until: number; readonly limit: number },
): Promise<SearchResult> {
  const rows = await transaction.read(sql.FIND_DUE, [service, until, limit]);
  return sorted(rows, ({ due: at }) => at !== null && Number(at) <= until);
}

async function names(
  transaction: Transaction,
  service: number,
  { task, limit }: { readonly task: number; readonly limit: number; readonly at: Instant },
): Promise<SearchResult> {
  const named = await transaction.read(sql.NEXT_NAMES, [task, limit]);
  const lastName = Number(named.at(-1)?.['n'] ?? 0);
  if (lastName === 0) return NOTHING;
  const result = sorted(await transaction.read(sql.FIND_NAMES, [service, task, lastName]), () => true);
  const searched = { count: named.length, last: (named.at(-1)?.['token'] ?? null) as string | null };
  return { ...result, searched, lastName, unknown: named.length - result.found.length };
}

/** The next pushes of a task: repeats, first pushes, probes, as many as there is room for. */
async function queue(
  transaction: Transaction,
  { service }: LoadContext,
  { task, at, room }: { task: Task | null; at: Instant; room: Extract<Search, { in: 'queue' }>['room'] },
): Promise<SearchResult> {
  // A command that works in slices, here or in another instance, comes first.
  if (task?.status !== 'running' || task.intent !== null) return NOTHING;
  const { pushes, first } = room(task, at);
  if (pushes <= 0) return NOTHING;
  const values = [service, task.id, at.ticks, pushes, queueStart(task.wave + 1), Math.min(first, pushes)];
  const rows = await transaction.read(sql.FIND_QUEUE, values);
  return sorted(rows, (row) => isNext(toDevice(row), at));
}

function isNext(device: Device, { ticks }: Instant): boolean {
  if (queueRank(device) !== null) return true;
  const isTime = device.nextPush !== null && device.nextPush <= ticks;
  return isTime && (device.status === 'pushed' || device.hold === 'wait');
}

/** Of those whose turn has come; a repeat that is due needs none. */
async function loadFacts(
  transaction: Transaction,
  found: readonly SqlRow[],
  { repeats }: { readonly repeats: boolean },
): Promise<ReadonlyMap<number, SqlRow>> {
  const ids = found.flatMap((row) =>
    !repeats && row['status'] === statusCode('pushed') ? [] : [row['id'] as number],
  );
  if (ids.length === 0) return NO_FACTS;
  const rows = await transaction.read(sql.TURN_FACTS, [ids]);
  return new Map(rows.map((row) => [row['id'] as number, row]));
}
