/** A place where fleets' tasks lie, whichever database it is: what the platform asks of it. Types only. */
import type { Ticks } from '../types';
import type { Awaitable, TaskDatabase } from './database';

export interface TaskStore {
  /** Makes what isn't there, and brings it up to date. @throws OtaError */
  open(): Awaitable<void>;
  close(): Awaitable<void>;
  /** The names under which tasks lie here, with how many there are. @throws OtaError */
  fleets(): Awaitable<readonly { readonly fleet: string; readonly tasks: number }[]>;
  tasks(fleet: string): TaskDatabase;
  /** A life of this process among the instances that share a fleet; absent where the store is one process's own. */
  members?(fleet: string): FleetMembers;
}

/** An instance whose session is to be adopted. */
export interface Orphan {
  readonly id: number;
  readonly clientId: string;
  /** For people: which machine, which process. */
  readonly name: string;
  /** False where it never was subscribed, as far as anybody knows: it has no session, or an empty one. */
  readonly heard: boolean;
}

export interface Beat {
  /** False where the instance was adopted: this life of it is over. */
  readonly lives: boolean;
  /** The wall clock that all instances use. */
  readonly wall: number;
  readonly ticks: Ticks;
  /**
   * Instances whose session nobody else serves, because they are silent, or hear nothing any more; also those that this
   * one has adopted, until they are removed.
   */
  readonly orphans: readonly Orphan[];
  /** Names of instances that beat but hear nothing. */
  readonly deaf: readonly string[];
}

export interface Joining {
  /** A client id that nobody has had yet. */
  readonly clientId: string;
  readonly name: string;
  /** It heard nothing in its last life: the clock doesn't wait for it. */
  readonly deaf: boolean;
}

/** What an instance says of itself. */
export interface BeatState {
  /** Subscribed, and through with what the broker had kept. */
  readonly hears: boolean;
  /** A subscription was granted in this life: the broker gives its session a share of the reports. */
  readonly granted: boolean;
  /** A session is, or may be, at the broker. */
  readonly subscribed: boolean;
}

/** Every method rejects with an `OtaError` where the database can't do it. */
export interface FleetMembers {
  /** Begins a life: to be called before anything is subscribed to. */
  join(joining: Joining): Promise<void>;
  /** Once a second. */
  beat(state: BeatState): Promise<Beat>;
  /**
   * Takes an instance's session over: from then on nothing of what it heard is written any more. False where another
   * one was faster, or where it lives again; true as often as the same instance asks.
   */
  adopt(orphan: Pick<Orphan, 'id'>): Promise<boolean>;
  /** A session is through, or given up. */
  remove(id: number): Promise<void>;
  /** Ends this life: its session is adopted at once. */
  leave(): Promise<void>;
}
