/**
 * Questions of devices for their upgrades. Owns that each is answered after what was received before it, and after
 * its answer is in the database as a push; a question that can't be worked on is not acknowledged, so that the broker
 * sends it again.
 */
import type { Batch, Committer, IdSource } from '../../protocol';
import { answer, type Answered, answerNeed, askedNeed, askedTasks } from '../transactions';
import type { Time } from './clock';
import type { TaskEvents } from './events';
import type { Lane } from './lane';
import type { Pushes, Question } from './pushes';
import { EventLoopYielder } from './yielder';

export interface QuestionsParts {
  readonly lane: Lane;
  readonly pushes: Pushes;
  readonly events: TaskEvents;
  readonly time: Time;
  readonly nextId: IdSource;
}

/** Tasks of a device that are looked at for an answer: a device of more is pushed to when their turn comes. */
const MAX_TASKS = 20;

class BatchQuestions implements Committer {
  readonly questions: Question[] = [];

  constructor(
    readonly batch: Batch,
    private readonly answerAll: (questions: readonly Question[]) => Promise<void>,
  ) {}

  commit(): Promise<void> {
    return this.answerAll(this.questions);
  }
}

export class Questions {
  readonly #parts: QuestionsParts;
  #newest: BatchQuestions | null = null;

  constructor(parts: QuestionsParts) {
    this.#parts = parts;
  }

  /** A question is a sign of life; it is answered when its batch is committed. */
  enqueue(question: Question, batch: Batch): void {
    const { lane, time } = this.#parts;
    lane.enqueue({ kind: 'alive', accessToken: question.accessToken, wall: time.wall() }, batch);
    if (this.#newest?.batch !== batch) {
      this.#newest = new BatchQuestions(batch, (questions) => this.#answerAll(questions));
      batch.join(this.#newest);
    }
    this.#newest.questions.push(question);
  }

  async #answerAll(questions: readonly Question[]): Promise<void> {
    if (this.#newest?.questions === questions) this.#newest = null;
    const yielder = new EventLoopYielder();
    for (const question of questions) {
      try {
        await this.#answer(question);
      } catch (error) {
        throw this.#parts.events.notStored(error);
      }
      await yielder.next();
    }
  }

  async #answer(question: Question): Promise<void> {
    const { lane, pushes, events, nextId } = this.#parts;
    const tasks = await lane.transact(
      (at) => askedNeed(question, at),
      (rows) => askedTasks(question, rows),
    );
    for (const task of tasks.slice(0, MAX_TASKS)) {
      const rules = { task, accessToken: question.accessToken, nextId };
      const { changes, push }: Answered = await lane.transact(
        (at) => answerNeed(rules, at),
        (rows) => answer(rules, rows),
      );
      if (push !== null) pushes.answer(question, push);
      events.emitChanges(changes);
      if (push !== null) return;
    }
    pushes.answer(question, null);
  }
}
