/**
 * Every legal move of a device in a task, as one table: what happened, in which state, what becomes of it and
 * why. The first row that fits is taken; what fits none is history and changes nothing. Pure.
 */
import { type Case, type Move } from './move';
import { OUTCOME_MOVES } from './outcome-moves';
import { PEOPLE_MOVES } from './people-moves';
import { LIFE_MOVES, PROGRESS_MOVES } from './progress-moves';
import { TIME_MOVES } from './time-moves';
import { TURN_MOVES } from './turn-moves';
import { VERSION_MOVES } from './version-moves';

export type { Case, Event, EventName, Move, Rules } from './move';

export const MOVES: readonly Move[] = [
  ...TURN_MOVES,
  ...OUTCOME_MOVES,
  ...PROGRESS_MOVES,
  ...LIFE_MOVES,
  ...VERSION_MOVES,
  ...TIME_MOVES,
  ...PEOPLE_MOVES,
];

const INDEX = new Map<string, Move[]>();
for (const move of MOVES) {
  for (const from of move.from) {
    const key = `${move.on} ${from}`;
    INDEX.set(key, [...(INDEX.get(key) ?? []), move]);
  }
}

/** The row that fits, or null. */
export function findMove(c: Case): Move | null {
  const moves = INDEX.get(`${c.event.on} ${c.device.status}`);
  if (moves === undefined) return null;
  for (const move of moves) if (move.when === undefined || move.when(c)) return move;
  return null;
}
