/** Texts of a node in the editor's language. A node finds only its own catalogue; `common` is in each. */

/** The name in package.json: Node-RED's name space for our catalogues. */
const PACKAGE = '@mqtt-ota/node-red-ota';

/** The text of a key; `values` fill its `__name__` places. */
export type Texts = (key: string, values?: Record<string, string | number>) => string;

export function textsOf(type: string): Texts {
  return (key, values) => RED._(`${PACKAGE}/${type}:${key}`, values);
}
