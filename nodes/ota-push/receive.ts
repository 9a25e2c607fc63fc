/** The device side of ota-push: upgrades as they come, or held until a message asks for them. */
import type { Node } from 'node-red';
import { type Batch, isoNow, toOtaError, type Upgrade } from '../lib/protocol';
import { ownToken, tokenToHear } from '../lib/red/device';
import { derive, type Message, onClose, onInput } from '../lib/red/input';
import { LimitedErrors } from '../lib/red/limited-errors';
import type { ServiceUse } from '../lib/red/service';
import { shownText, type Status } from '../lib/red/status';
import { reportRefused } from '../lib/red/wire-errors';
import { Held, type HeldUpgrade } from './held';

/** Ids that are remembered, over all devices. */
const SEEN_LIMIT = 100_000;

export function receiveSide(
  node: Node,
  service: ServiceUse,
  status: Status,
  settings: { hold: boolean; file: string },
): void {
  const errors = new LimitedErrors(node);
  const accessToken = tokenToHear(ownToken(node), service.identity);
  const seen = new Set<string>();
  const held = new Held(settings.file);
  const emit = (upgrade: HeldUpgrade, msg: Partial<Message> = {}): void => {
    const { topic, payload } = upgrade;
    node.send(derive(msg, { topic, accessToken: payload.accessToken, payload } as Partial<Message>));
    status.success(shownText(payload.version));
  };
  const release = (msg?: Partial<Message>): void => {
    if (held.size === 0) return;
    for (const upgrade of held.all()) emit(upgrade, msg);
    held.released();
    service.setIdle('common.status.connected');
  };

  const take = (upgrade: HeldUpgrade, batch: Batch): void => {
    if (!settings.hold) {
      emit(upgrade);
      return;
    }
    held.keep(upgrade);
    batch.join(held);
    service.setIdle('ota-push.status.held');
    status.success('ota-push.status.held');
  };

  service.listen<'upgrade'>(
    {
      kind: 'upgrade',
      accessToken,
      onMessage(received, batch) {
        // A commit that failed makes the broker send again: the repeat must wait for the next commit too.
        if (held.dirty) batch.join(held);
        const { topic, accessToken, message } = received;
        const key = message.id === null ? null : JSON.stringify([accessToken, message.id]);
        if (key !== null && seen.has(key)) return;
        try {
          take(toMessage(topic, accessToken, message), batch);
        } catch (error) {
          // Not remembered: what could not be kept is welcome when it is pushed again.
          errors.report(toOtaError(error), { topic, accessToken, payload: message } as Partial<Message>);
          return;
        }
        if (key !== null) remember(seen, key);
      },
      onRefused: (refused) => reportRefused(errors, refused),
    },
    held.size > 0 ? 'ota-push.status.held' : 'common.status.connected',
  );

  if (settings.hold) onInput(node, (msg) => release(msg));
  // Held by a node that holds no more: nobody would ever ask for it.
  else if (held.size > 0) setImmediate(() => release());

  onClose(node, (removed) => {
    service.close(removed);
    errors.close();
    status.close();
  });
}

/** A platform repeats a push with the same id until the device answers; an upgrade without one is new. */
function remember(seen: Set<string>, key: string): void {
  seen.add(key);
  if (seen.size <= SEEN_LIMIT) return;
  for (const oldest of seen) {
    seen.delete(oldest);
    return;
  }
}

/** extData is copied: several nodes may hear the same message, and a flow may change what it got. */
function toMessage(topic: string, accessToken: string, upgrade: Upgrade): HeldUpgrade {
  const { id, code, module, version, size, url, signMethod, sign } = upgrade;
  const extData = structuredClone(upgrade.extData);
  const at = isoNow();
  const payload = { accessToken, id, code, module, version, size, url, signMethod, sign, extData, at };
  return { topic, payload };
}
