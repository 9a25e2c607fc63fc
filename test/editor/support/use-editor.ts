/** A broker and an editor for one file of tests, started before them and ended after them. */
import { type AedesServer, startAedes } from '../../support/aedes';
import { requireChromium } from '../../support/browser';
import { type Editor, type EditorHost, startEditor } from './editor';
import { service } from './flows';

export interface UsedEditor {
  readonly host: EditorHost;
  /** In English. */
  readonly editor: Editor;
  /** A broker node that can be reached, and an ota-service on it. */
  readonly service: object[];
}

/** To be called in `describe`; what it returns can be used in tests and hooks. */
export function useEditor(): UsedEditor {
  let broker: AedesServer | undefined;
  let host: EditorHost | undefined;
  let editor: Editor | undefined;

  before(async function () {
    this.timeout(240_000);
    requireChromium(this);
    broker = await startAedes();
    host = await startEditor();
    editor = await host.open('en-US');
  });
  after(async function () {
    this.timeout(240_000);
    await host?.stop();
    await broker?.stop();
  });

  const started = <T>(value: T | undefined): T => {
    if (value === undefined) throw new Error('The editor has not been started yet');
    return value;
  };
  return {
    get host() {
      return started(host);
    },
    get editor() {
      return started(editor);
    },
    get service() {
      return service(started(broker).port);
    },
  };
}
