/**
 * One instance among those that share a fleet. Owns its lives: a row in the database with a client id of its own, a
 * beat a second by the database's clock, and the end of a life where the database is gone or another instance has
 * adopted the session. Adopts the sessions of instances that are gone. Knows neither SQL nor MQTT.
 */
import os from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { OtaError, toOtaError } from '../protocol';
import type { Beat, FleetMembers, Orphan } from '../tasks/database';
import type { Time } from '../tasks/engine';
import type { Ticks } from '../tasks/types';
import type { TaskChannel } from './channel';

/** What a beat is for. */
export interface BeatingEngine {
  readonly hears: boolean;
  follow(ticks: Ticks): void;
  repeatUnsure(): Promise<void>;
}

export interface InstanceOptions {
  readonly members: FleetMembers;
  readonly channel: TaskChannel;
  readonly engine: BeatingEngine;
  readonly time: SharedTime;
  /** How many subscriptions were granted so far. */
  readonly grants: () => number;
  /** Once for each: a session that was lost, or that can't be taken over. */
  readonly onFault: (error: OtaError) => void;
  /** An instance hears nothing, or (null) none does so any more. */
  readonly onDeaf: (error: OtaError | null) => void;
  /** The database doesn't answer; null once it does. */
  readonly onProblem: (error: OtaError | null) => void;
}

const BEAT_MS = 1000;
/** Without the database for so long, an instance leaves the broker: others have adopted it soon. */
const ALONE_MS = 3000;
/** Sessions that are taken over at once. */
const MAX_ADOPTING = 4;

interface Adoption {
  /** It is left to somebody else. */
  isOver: boolean;
  /** Resolves when nothing that was heard of it is under way; true where the session is through, or given up. */
  through: Promise<boolean>;
}

function momentNow(): { readonly steady: number; readonly wall: number } {
  return { steady: performance.now(), wall: Date.now() };
}

/** The wall clock of the database; this process's own only tells what has passed since the last beat. */
export class SharedTime implements Time {
  #wall = Date.now();
  #at = performance.now();

  follow(wall: number): void {
    this.#wall = wall;
    this.#at = performance.now();
  }

  wall(): number {
    return Math.round(this.#wall + performance.now() - this.#at);
  }

  steady(): number {
    return performance.now();
  }
}

export class Instance {
  readonly #options: InstanceOptions;
  /** Sessions that are being taken over, by the rows of their instances. */
  readonly #adopting = new Map<number, Adoption>();
  #timer: NodeJS.Timeout | null = null;
  #beating: Promise<void> = Promise.resolve();
  #stopped = false;
  /** False from the moment that it is about to stop: nothing more is taken over. */
  #adopts = true;
  /** It has a row, and where reports are shared a session. */
  #lives = false;
  #deaf = false;
  /** Resolves when nothing of the life before is under way any more. */
  #left: Promise<void> = Promise.resolve();
  /** When the last beat was answered, in milliseconds of performance.now(). */
  #lastBeat = -Infinity;
  /** When it was sent, by the same clock and by the wall clock. */
  #sentAt = -Infinity;
  #sentAtWall = -Infinity;
  #deafNames = '';
  /** Subscriptions that were granted in earlier lives. */
  #grantsBefore = 0;

  constructor(options: InstanceOptions) {
    this.#options = options;
  }

  /** Begins the first life. @throws OtaError where the database can't be used */
  async start(): Promise<void> {
    await this.#join();
    this.#options.engine.follow((await this.#beatOnce()).ticks);
    this.#schedule();
  }

  /** Ends this life; what its session still gets is for whoever adopts it. Never rejects. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.stopAdopting();
    await this.#beating;
    const { channel, members } = this.#options;
    // No connection at all: one without a session would get reports, and the broker would drop them with it.
    if (channel.isShared && this.#lives) channel.useSession(null);
    this.#lives = false;
    // Sessions that are being taken over are for somebody else then: this one counts as gone, too.
    await members.leave().catch(() => undefined);
  }

  /**
   * Takes nothing over any more: what was begun is left to others, before nobody listens here. Resolves when all that was
   * heard of it is committed, or can't be. Never rejects.
   */
  async stopAdopting(): Promise<void> {
    this.#adopts = false;
    await this.#leaveAdoptions();
  }

  async #join(): Promise<void> {
    const { members, channel } = this.#options;
    // What was heard in the life before is refused by its own row, never written in the name of the next.
    await this.#left;
    const clientId = channel.newClientId();
    const sent = momentNow();
    this.#grantsBefore = this.#options.grants();
    await members.join({ clientId, name: `${os.hostname()} (${process.pid})`, deaf: this.#deaf });
    this.#lives = true;
    this.#noteBeat(sent);
    if (channel.isShared) channel.useSession(clientId, (lostAt) => this.#isSure(lostAt));
  }

  /**
   * The session is still this instance's own. One that was frozen wakes up with the time for a new connection over,
   * and must not come back under an id that somebody has adopted meanwhile: it would be subscribed in the group, and
   * nobody would hear it. Monotonic clocks stand still while a machine sleeps, wall clocks are set. After a connection
   * that was lost a beat must say so anew: whoever adopts it takes the client id over.
   */
  #isSure(lostAt: number): boolean {
    const passed = Math.max(performance.now() - this.#sentAt, Math.abs(Date.now() - this.#sentAtWall));
    return this.#lives && passed < ALONE_MS && this.#sentAt > lostAt;
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#beating = this.#beat().finally(() => this.#schedule());
    }, BEAT_MS);
  }

  async #beat(): Promise<void> {
    const { engine, onProblem } = this.#options;
    let late: NodeJS.Timeout | undefined;
    try {
      if (!this.#lives) await this.#join();
      late = setTimeout(() => this.#leave(), Math.max(0, this.#lastBeat + ALONE_MS - performance.now()));
      const beat = await this.#beatOnce();
      if (!beat.lives) {
        // Another instance serves the session by now, and nothing of it is written here any more.
        this.#leave();
        await this.#join();
        return;
      }
      engine.follow(beat.ticks);
      this.#tellDeaf(beat);
      this.#leaveServed(beat.orphans);
      this.#adoptAll(beat.orphans);
      onProblem(null);
    } catch (error) {
      if (performance.now() - this.#lastBeat >= ALONE_MS) {
        this.#leave();
        onProblem(toOtaError(error, 'OTA_STORE_FAILED'));
      }
    } finally {
      clearTimeout(late);
    }
  }

  async #beatOnce(): Promise<Beat> {
    const { members, engine, time, channel } = this.#options;
    const sent = momentNow();
    const beat = await members.beat({
      hears: engine.hears,
      granted: this.#options.grants() > this.#grantsBefore,
      subscribed: channel.isShared,
    });
    this.#noteBeat(sent);
    time.follow(beat.wall);
    return beat;
  }

  #noteBeat({ steady, wall }: ReturnType<typeof momentNow>): void {
    this.#lastBeat = performance.now();
    this.#sentAt = steady;
    this.#sentAtWall = wall;
  }

  /** The end of this life: the broker keeps the session for whoever adopts it. */
  #leave(): void {
    if (!this.#lives) return;
    this.#lives = false;
    const { channel } = this.#options;
    // What it heard for others is refused by its own row, too.
    const left = this.#leaveAdoptions();
    if (!channel.isShared || this.#stopped) return;
    this.#left = Promise.all([channel.committed(), left]).then(() => undefined);
    channel.useSession(null);
  }

  #tellDeaf({ deaf }: Beat): void {
    const names = [...new Set(deaf)].sort().join(', ');
    this.#deaf = deaf.length > 0 && !this.#options.engine.hears;
    if (names === this.#deafNames) return;
    this.#deafNames = names;
    const text = `An instance of this fleet hears no device: ${names}. Check its connection and its rights at the broker; the others go on without it.`;
    this.#options.onDeaf(names === '' ? null : new OtaError('OTA_INSTANCE_DEAF', text));
  }

  #adoptAll(orphans: readonly Orphan[]): void {
    // Whoever hears nothing itself can't hear for others.
    if (!this.#adopts || !this.#options.channel.isShared || !this.#options.engine.hears) return;
    for (const orphan of orphans) {
      if (this.#adopting.has(orphan.id) || this.#adopting.size >= MAX_ADOPTING) continue;
      const adoption: Adoption = { isOver: false, through: Promise.resolve(false) };
      this.#adopting.set(orphan.id, adoption);
      adoption.through = this.#adopt(orphan, adoption);
      void adoption.through
        .then(async (isThrough) => isThrough && (await this.#remove(orphan.id)))
        .finally(() => this.#adopting.delete(orphan.id));
    }
  }

  /** Another instance serves them by now: this one stood still for too long. */
  #leaveServed(orphans: readonly Orphan[]): void {
    const own = new Set(orphans.map(({ id }) => id));
    for (const [id, adoption] of this.#adopting) if (!own.has(id)) adoption.isOver = true;
  }

  /** Leaves all to others; resolves when nothing that was heard of them is under way. */
  async #leaveAdoptions(): Promise<void> {
    const adoptions = [...this.#adopting.values()];
    for (const adoption of adoptions) adoption.isOver = true;
    await Promise.all(adoptions.map(({ through }) => through));
  }

  /** True where the session is through, or given up. Never rejects. */
  async #adopt(orphan: Orphan, adoption: Adoption): Promise<boolean> {
    const { members, channel, engine, onFault } = this.#options;
    try {
      if (!(await members.adopt(orphan))) return false;
      await engine.repeatUnsure();
    } catch {
      // The database is away: the next beat finds the session again.
      return false;
    }
    const isOver = (): boolean => adoption.isOver;
    const isOurs = (lostAt: number): boolean => !isOver() && this.#isSure(lostAt);
    try {
      const adopted = await channel.adopt(orphan.clientId, { isOurs, isOver });
      // What never heard anything has nothing to lose.
      if (adopted === 'absent' && orphan.heard) onFault(sessionLost(orphan));
      return adopted !== 'left';
    } catch (error) {
      if (!isOurs(-Infinity)) return false;
      onFault(sessionStuck(orphan, toOtaError(error)));
      return true;
    }
  }

  /** While the row stays the clock stands still for it. */
  async #remove(id: number): Promise<void> {
    for (;;) {
      try {
        await this.#options.members.remove(id);
        return;
      } catch {
        // The session is through, and must not be taken over again: only this is repeated.
        if (this.#stopped) return;
        await sleep(BEAT_MS, undefined, { ref: false });
      }
    }
  }
}

function sessionLost({ name }: Orphan): OtaError {
  return new OtaError(
    'OTA_SESSION_LOST',
    `The broker had no session of the instance ${name}, which is gone: reports that it had not acknowledged may be lost. Let the broker keep sessions (Mosquitto: "persistence true", "max_queued_messages 0").`,
  );
}

function sessionStuck({ name, clientId }: Orphan, cause: OtaError): OtaError {
  return new OtaError(
    'OTA_SESSION_STUCK',
    `The session of the instance ${name}, which is gone, could not be taken over and was given up: reports in it may be lost. The broker must let this user connect with any client id of the group (${clientId}). ${cause.message}`,
    { cause },
  );
}
