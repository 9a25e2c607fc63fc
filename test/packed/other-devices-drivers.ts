/** How the examples of devices by wires are driven to their end: what is said over MQTT is looked at as a device would. */
import assert from 'node:assert/strict';
import { connectClient } from '../support/client';
import { until } from '../support/wait';
import type { Running } from './drivers';

interface Said {
  readonly topic: RegExp;
  readonly payload: RegExp;
}

interface Expected {
  /** What each device says of the version that it runs before. */
  readonly first: Said;
  /** The commands that a device gets, in their order, by the end of their topics. */
  readonly asked: readonly Said[];
  /** What the three devices say once they run the new version. */
  readonly ended: Said;
}

const upgraded =
  ({ first, asked, ended }: Expected) =>
  async ({ red, flow, click }: Running): Promise<void> => {
    const broker = flow.find(({ type }) => type === 'mqtt-broker');
    const client = await connectClient(`mqtt://127.0.0.1:${String(broker?.['port'])}`);
    const heard = (of: Said): { topic: string; text: string }[] =>
      client.messages.filter(({ topic, text }) => of.topic.test(topic) && of.payload.test(text));
    try {
      await client.subscribe('#');
      // The answers and changes that the example shows go to the log, where the test reads them.
      await red.deploy(
        flow.map((node) => (node.type === 'debug' ? { ...node, console: true, tosidebar: false } : node)),
      );
      const told = (words: RegExp): boolean => words.test(red.lines.join('\n'));
      await until(() => heard(first).length >= 3, 'three devices');
      // A second report of each: the first ones have been taken by then.
      await click('1.');
      await until(() => heard(first).length >= 6, 'three devices again');
      await click('2.');
      await until(() => told(/status: 'ended'/), 'the end of the task', 60_000);
      assert.ok(told(/succeeded: 3/), red.lines.join('\n'));
      for (const one of asked)
        assert.ok(heard(one).length >= 3, `${String(one.topic)} ${String(one.payload)}`);
      assert.ok(heard(ended).length >= 3, 'each device told its new version');
    } finally {
      await client.stop();
    }
  };

export const tasmota = upgraded({
  first: { topic: /^tele\/\w+\/INFO1$/, payload: /"Version":"14\.3\.0\(release-tasmota\)"/ },
  asked: [
    { topic: /^cmnd\/\w+\/OtaUrl$/, payload: /^http:\S+14\.4\.1\.bin$/ },
    { topic: /^cmnd\/\w+\/Upgrade$/, payload: /^1$/ },
  ],
  ended: { topic: /^tele\/\w+\/INFO1$/, payload: /"Version":"14\.4\.1\(release-tasmota\)"/ },
});

export const shelly = upgraded({
  first: { topic: /^ota-shelly\/rpc$/, payload: /"ver":"1\.4\.2"/ },
  asked: [{ topic: /^shellyplus1pm-\w+\/rpc$/, payload: /"method":"Shelly\.Update","params":\{"url":"http/ }],
  ended: { topic: /^ota-shelly\/rpc$/, payload: /"ver":"1\.4\.4"/ },
});

export const zigbee2mqtt = upgraded({
  first: { topic: /^zigbee2mqtt\/\w+$/, payload: /"installed_version":587753009/ },
  asked: [{ topic: /\/bridge\/request\/device\/ota_update\/update$/, payload: /"id":"\w+","transaction":/ }],
  ended: { topic: /^zigbee2mqtt\/\w+$/, payload: /"installed_version":587765297.*"state":"idle"/ },
});
