/** A stranger's client of Dashboard's connection: Socket.IO over HTTP polling, without a page or a browser. */
import { until } from '../support/wait';

export interface DashboardSocket {
  /** What the server answered to the wish to connect: its error's text, or null where it let us in. */
  readonly refused: string | null;
  /** Texts that came, oldest first. */
  readonly received: readonly string[];
  emit(event: string, ...values: readonly unknown[]): Promise<void>;
  stop(): void;
}

/** Opens the connection. @param headers of each request, e.g. `authorization`, `origin` */
export async function openSocket(
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<DashboardSocket> {
  const ending = new AbortController();
  const request = async (query: string, body?: string): Promise<string> => {
    const answer = await fetch(`${url}/dashboard/socket.io/?EIO=4&transport=polling${query}`, {
      // One that is kept open may be closed in the moment in which it is used again.
      headers: { ...headers, connection: 'close' },
      method: body === undefined ? 'GET' : 'POST',
      body,
      signal: ending.signal,
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${answer.status} ${text}`);
    return text;
  };
  const received: string[] = [];
  let opened: string;
  try {
    opened = await request('');
  } catch (error) {
    return closed(String(error), received);
  }
  const { sid } = JSON.parse(opened.slice(1)) as { sid: string };
  const session = `&sid=${encodeURIComponent(sid)}`;
  await request(session, '40');
  void (async () => {
    while (!ending.signal.aborted) {
      for (const packet of (await request(session)).split('\u001e')) {
        if (packet === '2') await request(session, '3');
        else received.push(packet);
      }
    }
  })().catch((error: unknown) => void received.push(`ended: ${String(error)}`));
  const answer = await until(
    () => received.find((packet) => /^(40|44|41|ended)/.test(packet)),
    'Dashboard to let us in or not',
  );
  return {
    refused: answer.startsWith('40') ? null : answer,
    received,
    emit: async (event, ...values) => {
      await request(session, `42${JSON.stringify([event, ...values])}`);
    },
    stop: () => ending.abort(),
  };
}

function closed(refused: string, received: readonly string[]): DashboardSocket {
  return { refused, received, emit: () => Promise.reject(new Error(refused)), stop: () => undefined };
}
