/** Config nodes that a node needs, chosen for a person where there is nothing to choose. */

/**
 * To be called in `onadd`: a node from the palette takes the only config node there is, for each setting that
 * wants one, always or in some cases, and has none. A disabled one, or one of another flow, isn't taken.
 */
export function takeTheOnly(node: EditorNode): void {
  for (const [name, { type, required }] of Object.entries(node._def.defaults)) {
    if (type === undefined || required === false || node[name]) continue;
    const found: EditorNode[] = [];
    RED.nodes.eachConfig((config) => {
      const { z, d } = config;
      if (config.type === type && d !== true && (!z || z === node['z'])) found.push(config);
    });
    if (found.length === 1) node[name] = found[0]?.id;
  }
}
