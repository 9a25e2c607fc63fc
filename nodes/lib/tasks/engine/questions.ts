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
import { EventLoopYielder, SLICE } from './yielder';

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
    for (let from = 0; from < questions.length; from += SLICE) {
      try {
        await this.#answer(questions.slice(from, from + SLICE));
      } catch (error) {
        throw this.#parts.events.notStored(error);
      }
      await yielder.next();
    }
  }

  /** One transaction for all questions, and one for each task that may answer: the broker waits for all of them. */
  async #answer(questions: readonly Question[]): Promise<void> {
    const { lane, pushes } = this.#parts;
    const tasks = await lane.transact(
      (at) => askedNeed(questions, at),
      (rows) => askedTasks(questions, rows),
    );
    let open = questions.map((question, i) => ({ question, tasks: (tasks[i] ?? []).slice(0, MAX_TASKS) }));
    for (let turn = 0; open.length > 0; turn += 1) {
      const asked = new Map<number, Question[]>();
      for (const { question, tasks: own } of open) {
        const task = own[turn];
        if (task === undefined) {
          pushes.answer(question, null);
          continue;
        }
        const some = asked.get(task) ?? [];
        asked.set(task, some);
        some.push(question);
      }
      const answered = new Set<Question>();
      for (const [task, some] of asked) {
        for (const question of await this.#answerFrom(task, some)) answered.add(question);
      }
      open = open.filter(({ question, tasks: own }) => own[turn] !== undefined && !answered.has(question));
    }
  }

  /** Answers what one task has for its devices. @returns the questions that it answered */
  async #answerFrom(task: number, questions: readonly Question[]): Promise<readonly Question[]> {
    const { lane, pushes, events, nextId } = this.#parts;
    const accessTokens = questions.map(({ accessToken }) => accessToken);
    const rules = { task, accessTokens, nextId };
    const { changes, pushes: found }: Answered = await lane.transact(
      (at) => answerNeed(rules, at),
      (rows) => answer(rules, rows),
    );
    const answered = questions.filter((question) => {
      const push = found.get(question.accessToken);
      if (push !== undefined) pushes.answer(question, push);
      return push !== undefined;
    });
    events.emitChanges(changes);
    return answered;
  }
}
