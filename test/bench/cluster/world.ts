/** What a cluster is measured in: a broker, a PostgreSQL, devices, and as many instances as are asked for. */
import { type Mosquitto, startMosquitto } from '../../support/mosquitto';
import { type PostgresServer, startPostgresServer } from '../../support/postgres';
import type { DeviceOrders } from '../tasks/devices';
import { type Orders, type Process, startProcess } from '../tasks/orders';
import type { PlatformOrders } from '../tasks/platform';

export interface World {
  readonly broker: Mosquitto;
  readonly server: PostgresServer;
  readonly devices: Process<DeviceOrders>;
  start<O extends Orders<O>>(script: string, ...args: string[]): Promise<Process<O>>;
  /** Instances that share a fleet, subscribed. */
  instances(count: number): Promise<readonly Process<PlatformOrders>[]>;
  stop(): Promise<void>;
}

/** @param settings of PostgreSQL, which syncs every commit to the disk */
export async function startWorld(...settings: readonly string[]): Promise<World> {
  const started: { stop(): Promise<void> }[] = [];
  const keep = <T extends { stop(): Promise<void> }>(part: T): T => {
    started.push(part);
    return part;
  };
  const stop = async (): Promise<void> => {
    for (const part of started.reverse()) await part.stop();
  };
  try {
    const config = ['max_inflight_messages 200', 'max_queued_messages 0', 'log_type none'];
    const broker = keep(await startMosquitto({ config }));
    const server = keep(await startPostgresServer({ tcp: true, durable: true, settings }));
    const start = async <O extends Orders<O>>(script: string, ...args: string[]): Promise<Process<O>> => {
      const process = await startProcess<O>(script, [broker.url, ...args]);
      keep({ stop: () => process.kill() });
      return process;
    };
    const instances = async (count: number): Promise<Process<PlatformOrders>[]> => {
      const found: Process<PlatformOrders>[] = [];
      for (let i = 0; i < count; i += 1) {
        const instance = await start<PlatformOrders>('platform.ts', server.url(), 'bench');
        await instance.ask('ready', {});
        found.push(instance);
      }
      return found;
    };
    const devices = await start<DeviceOrders>('devices.ts');
    return { broker, server, devices, start, instances, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
