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
    remove(id: string): void;
    eachWorkspace(visit: (tab: { id: string }) => void): void;
  };
  view: {
    /** Pixels of a text in the font of a CSS class. The editor's own: it may go. */
    calculateTextWidth?(text: string, className: string): number;
    /** Adds nodes of a flow file, as an import does; it can be undone. */
    importNodes(
      nodes: readonly object[],
      options: { generateIds: boolean; addFlow: boolean; notify: boolean },
    ): void;
  };
  events: { on(name: 'nodes:add', listener: (node: EditorNode) => void): void };
  /** What the last change can be undone by. */
  history: { peek(): { nodes?: unknown[] } | undefined };
  utils: {
    getNodeLabel(node: EditorNode, byDefault?: string): string;
  };
  workspaces: { show(id: string): void };
  plugins: {
    registerPlugin(id: string, plugin: { type: string; onadd?: () => void }): void;
  };
  actions: { add(name: string, handler: () => void): void };
  /** The editor's own: it may go. */
  menu?: { addItem(menu: string, item: { id: string; label: string; onselect: string }): void };
  notify(text: string, options: { type: string; timeout?: number }): void;
};

/** jQuery UI's dialog, as the editor has it. */
interface JQuery {
  dialog(options: object | 'close' | 'destroy'): this;
}
