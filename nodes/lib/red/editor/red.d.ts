/** The part of Node-RED's editor API that our editor scripts use (4.1 and 5). */

/** A validator with two parameters may return the reason why a value is refused. */
type EditorValidator = (this: EditorNode, value: unknown, options: { label?: string }) => boolean | string;

interface EditorProperty {
  value?: string | number | boolean;
  /** Names the property where Node-RED lists what is wrong with a node. */
  label: string;
  required?: boolean;
  /** The type of a config node. */
  type?: string;
  validate?: EditorValidator;
}

interface EditorCredential {
  type: 'text' | 'password';
  label: string;
  validate?: EditorValidator;
}

/** Known of credentials in the browser: whether one is stored, not the value. `_` is what the server knows. */
interface EditorCredentials {
  [name: string]: unknown;
  _?: Record<string, unknown>;
}

interface EditorNode {
  id: string;
  type: string;
  name: string;
  _def: EditorNodeDefinition;
  credentials?: EditorCredentials;
  [property: string]: unknown;
}

interface EditorNodeDefinition {
  category: string;
  color?: string;
  defaults: Record<string, EditorProperty>;
  credentials?: Record<string, EditorCredential>;
  inputs?: number;
  outputs?: number;
  icon?: string;
  paletteLabel?: string | (() => string);
  label: (this: EditorNode) => string;
  labelStyle?: (this: EditorNode) => string;
  inputLabels?: (this: EditorNode, index: number) => string;
  outputLabels?: (this: EditorNode, index: number) => string;
  /** A node was added: from the palette, or pasted. It has no place on the canvas yet. */
  onadd?: (this: EditorNode) => void;
  oneditprepare?: (this: EditorNode) => void;
  oneditsave?: (this: EditorNode) => void;
  oneditcancel?: (this: EditorNode) => void;
}

declare const RED: {
  /** The text of a locale key. */
  _(key: string, values?: Record<string, string | number>): string;
  nodes: {
    registerType(type: string, definition: EditorNodeDefinition): void;
    /** Nothing (null or undefined) where there is no such node, e.g. for the `_ADD_` of a list. */
    node(id: unknown): EditorNode | null | undefined;
    eachConfig(visit: (node: EditorNode) => void): void;
  };
  view: {
    /** Pixels of a text in the font of a CSS class. The editor's own: it may go. */
    calculateTextWidth?(text: string, className: string): number;
  };
  utils: {
    getNodeLabel(node: EditorNode, byDefault?: string): string;
  };
};
