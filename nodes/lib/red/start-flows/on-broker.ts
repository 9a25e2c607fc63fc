/** Example flows on a broker that a person has: pure, so that it can be tried without an editor. */

/** A node as a flow file holds it. */
export interface FlowFileNode {
  readonly id: string;
  readonly type: string;
  readonly [key: string]: unknown;
}

/** A broker node of the workspace with the OTA service on it, if there is one; or the address for a new one. */
export type BrokerChoice =
  { readonly id: string; readonly service: string | null } | { readonly host: string; readonly port: string };

/**
 * The nodes of one or more examples as they are to be imported: each config node once, and none that the workspace
 * has already. Packages are served where this editor is, `editor` being its address. The path of the editor isn't that
 * of what flows serve (httpAdminRoot, httpNodeRoot): without one ota-package adds the right one.
 */
export function onBroker(
  nodes: readonly FlowFileNode[],
  chosen: BrokerChoice,
  editor: string,
): FlowFileNode[] {
  const { origin } = new URL(editor);
  const once = [...new Map(nodes.map((node) => [node.id, node])).values()];
  const instead = new Map<unknown, string>();
  for (const { id, type } of once) {
    if (!('id' in chosen)) break;
    if (type === 'mqtt-broker') instead.set(id, chosen.id);
    if (type === 'ota-service' && chosen.service !== null) instead.set(id, chosen.service);
  }
  return once
    .filter(({ id }) => !instead.has(id))
    .map((node) => {
      const { broker, service } = node;
      if (node.type === 'mqtt-broker' && !('id' in chosen))
        return { ...node, broker: chosen.host, port: chosen.port };
      if (node.type === 'ota-service') return { ...node, broker: instead.get(broker) ?? broker };
      if (node.type === 'tab') return { ...node, env: environment(node['env'], origin) };
      return service === undefined ? node : { ...node, service: instead.get(service) ?? service };
    });
}

function environment(env: unknown, origin: string): unknown {
  if (!Array.isArray(env)) return env;
  return (env as { name: string }[]).map((one) =>
    one.name === 'BASE_URL' ? { ...one, value: origin } : one,
  );
}
