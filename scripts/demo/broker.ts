/**
 * The demo's broker on 127.0.0.1: Mosquitto where it is installed, because it speaks MQTT 5 and tells who is offline;
 * else, or where what goes over it is to be watched, aedes.
 */
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AedesPublishPacket } from 'aedes' with { 'resolution-mode': 'import' };
import { createScheme, DEFAULT_SCHEME, readWire, type WireMessage } from '../../nodes/lib/protocol';

export interface DemoBroker {
  readonly port: number;
  /** The protocol version that a broker node is set to: 5, or 4 for MQTT 3.1.1. */
  readonly protocolVersion: '4' | '5';
  stop(): Promise<void>;
}

export interface WatchedBroker extends DemoBroker {
  /** Called for each message of the protocol that goes over the broker. */
  watch(listener: (message: WireMessage) => void): void;
}

/** Where Debian has it; a plain user's PATH doesn't look in the second place. */
const PROGRAMS = ['mosquitto', '/usr/sbin/mosquitto'];
const START_MS = 10_000;

/** Starts the best broker there is. @throws Error where the port was taken meanwhile */
export async function startBroker(port: number): Promise<DemoBroker> {
  const program = mosquittoProgram();
  return program === null ? startWatchedBroker(port) : startMosquitto(program, port);
}

/** Mosquitto's program; null where it isn't installed. */
export function mosquittoProgram(): string | null {
  return PROGRAMS.find((one) => spawnSync(one, ['-h']).error === undefined) ?? null;
}

/** Starts Mosquitto, with more lines of configuration. @throws Error where the port was taken meanwhile */
export async function startMosquitto(
  program: string,
  port: number,
  more: readonly string[] = [],
): Promise<DemoBroker> {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'ota-demo-mosquitto-'));
  const config = path.join(folder, 'mosquitto.conf');
  const lines = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', 'max_inflight_messages 200', ...more];
  // As root it would become a user who can't read this folder.
  if (os.userInfo().uid === 0) lines.push('user root');
  await fs.writeFile(config, `${lines.join('\n')}\n`);
  // Ctrl-C reaches this process only: Node-RED is ended before the broker.
  const child = spawn(program, ['-c', config], { stdio: 'ignore', detached: true });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
    await fs.rm(folder, { recursive: true, force: true });
  };
  for (let waited = 0; !(await accepts(port)); waited += 100) {
    if (child.exitCode !== null || waited > START_MS) {
      await stop();
      throw new Error(`Mosquitto does not listen on port ${port}; start again.`);
    }
    await sleep(100);
  }
  return { port, protocolVersion: '5', stop };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Starts a broker that tells what goes over it. @throws Error where the port was taken meanwhile */
export async function startWatchedBroker(port: number): Promise<WatchedBroker> {
  const { Aedes } = await import('aedes');
  const broker = await Aedes.createBroker();
  const listeners: ((message: WireMessage) => void)[] = [];
  const scheme = createScheme(DEFAULT_SCHEME);
  broker.on('publish', (packet: AedesPublishPacket, client) => {
    if (client === null) return;
    const read = readWire(scheme, packet.topic, Buffer.from(packet.payload), packet.retain);
    if (read.ok) for (const listener of listeners) listener(read.value);
  });
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    broker.handle(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    port,
    protocolVersion: '4',
    watch: (listener) => void listeners.push(listener),
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      await new Promise<void>((resolve) => broker.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
