/** Flows for the editor's tests. */

/** A broker node and an ota-service on it. */
export function service(port: number): object[] {
  return [
    {
      id: 'broker',
      type: 'mqtt-broker',
      name: '',
      broker: '127.0.0.1',
      port: String(port),
      clientid: 'editor-test',
      autoConnect: true,
      usetls: false,
      protocolVersion: '4',
      keepalive: '60',
      cleansession: true,
      autoUnsubscribe: true,
      birthTopic: '',
      closeTopic: '',
      willTopic: '',
    },
    {
      id: 'service',
      type: 'ota-service',
      name: '',
      broker: 'broker',
      scheme: 'thingspanel',
      informTopic: '',
      upgradeTopic: '',
      progressTopic: '',
      clientId: '',
      persistent: true,
      shareGroup: '',
      window: '200',
      signMethodCase: 'Md5',
      settingsVersion: '2',
    },
  ];
}

/** A node on the tab; where it stands follows from its id, so that none covers another. */
export function placed(id: string, type: string, settings: object = {}, wires: string[][] = []): object {
  const row = id.charCodeAt(id.length - 1) % 8;
  return { id, type, z: 'tab', name: '', x: 300, y: 80 + 60 * row, wires, ...settings };
}
