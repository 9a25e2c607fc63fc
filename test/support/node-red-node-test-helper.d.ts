/** The part of the test helper that helper.ts uses; the package has no types of its own. */
declare module 'node-red-node-test-helper' {
  import type { EventEmitter } from 'node:events';
  import type { Node, NodeInitializer } from 'node-red';

  interface NodeTestHelper {
    /** The runtime's event bus: 'node-status', 'flows:started'… */
    readonly _events: EventEmitter;
    readonly _redNodes: {
      setFlows(flow: readonly object[], credentials: object, type: string): Promise<unknown>;
    };
    init(runtimePath: string, settings?: object): void;
    settings(settings: object): object;
    load(nodes: NodeInitializer | NodeInitializer[], flow: object[], credentials: object): Promise<void>;
    unload(): Promise<void>;
    getNode(id: string): Node | null;
    startServer(): Promise<void>;
    stopServer(): Promise<void>;
    url(): string;
  }

  const helper: NodeTestHelper;
  export = helper;
}
