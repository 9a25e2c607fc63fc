/** A Node-RED node that does nothing but count: what both flows are wired to. */
import type { Node, NodeAPI, NodeDef, NodeMessage } from 'node-red';
import { obey, ready } from './meter';

interface BrokerNode extends Node {
  readonly client?: { on(event: 'packetreceive', listener: (packet: { cmd: string }) => void): void };
}

module.exports = (RED: NodeAPI): void => {
  const meter = obey((count) => {
    const accessToken = Array.from({ length: count }, (_, i) => `device-${i}`);
    const payload = {
      version: 'v1.1',
      url: 'https://packages.example.com/fw.bin',
      size: 432_945,
      sign: 'a'.repeat(32),
      signMethod: 'MD5',
    };
    // The flow has one of the two.
    const node = RED.nodes.getNode('push') as Node | null;
    const message = { payload, accessToken } as object as NodeMessage;
    return () => (node ?? RED.nodes.getNode('split')).receive(message);
  });

  RED.nodes.registerType(
    'bench-sink',
    function (this: Node, config: NodeDef & { acknowledgements?: boolean }) {
      RED.nodes.createNode(this, config);
      this.on('input', (_msg, _send, done) => {
        meter.hit();
        done();
      });
      if (config.acknowledgements !== true) return;
      // Core's "mqtt out" tells nobody when a publish was acknowledged: the packets do.
      const wait = setInterval(() => {
        const { client } = RED.nodes.getNode('broker') as BrokerNode;
        if (client === undefined) return;
        clearInterval(wait);
        client.on('packetreceive', ({ cmd }) => {
          if (cmd === 'puback') meter.hit();
        });
      }, 50);
    },
  );
  ready();
};
