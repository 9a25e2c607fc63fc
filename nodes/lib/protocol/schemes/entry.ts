/** What a scheme is: one entry of the table in `index.ts`, one file each. */
import type { Style } from '../bodies/bodies';
import type { MessageKind } from '../messages';

/** A kind of topic: those of the messages, and that of the answer to a question. */
export type TopicKind = MessageKind | 'answer';

/**
 * The templates of each kind of topic, none where the scheme hasn't got it. Of several the first is the one that
 * is published to, and each is subscribed: one of them granted will do. Answers stand in the order of `ask`.
 */
export type Topics = Readonly<Record<TopicKind, readonly string[]>>;

export type BodiesName = 'plain' | 'alink';

export interface SchemeEntry {
  /** null: the user's own templates. */
  readonly topics: Topics | null;
  /** Levels of an identity. */
  readonly levels: 1 | 2;
  /** True where the broker's plug-in wraps what devices publish: `{"token", "values"}`. */
  readonly wrapped: boolean;
  /** True where this product can only be the device. */
  readonly deviceOnly: boolean;
  readonly bodies: BodiesName;
  /** How its bodies differ from the documented ones. */
  readonly style: Partial<Style>;
  /** What ota-task takes for a success unless its policy says so: the step 100, or the reported version. */
  readonly success: 'progress' | 'version';
}
