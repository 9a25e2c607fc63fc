/** A real web server: nginx in the foreground, serving one folder. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { startChild } from './child';
import { programPath } from './missing';
import { freePort } from './ports';
import { until } from './wait';

export interface Nginx {
  readonly port: number;
  readonly url: string;
  /** The file to which it writes a line for each request: status, bytes of the body, `Range`. */
  readonly log: string;
  stop(): Promise<void>;
}

/**
 * Serves `<folder>/files`; its own files lie beside it.
 * @param more directives of its `server` block, e.g. `limit_rate 8m;`
 */
export async function startNginx(folder: string, more = ''): Promise<Nginx> {
  const port = await freePort();
  const log = path.join(folder, 'access.log');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  await fs.mkdir(path.join(folder, 'files'), { recursive: true });
  await fs.writeFile(
    path.join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
     events {}
     http {
       ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}
       log_format short '$status $body_bytes_sent $http_range';
       access_log ${log} short;
       sendfile on;
       server { listen 127.0.0.1:${port}; root ${folder}/files; ${more} }
     }\n`,
  );
  const child = startChild(programPath('nginx'), [
    '-p',
    folder,
    '-c',
    'nginx.conf',
    '-e',
    `${folder}/error.log`,
  ]);
  const url = `http://127.0.0.1:${port}`;
  try {
    await until(async () => !child.running || (await fetch(`${url}/`)).status > 0, 'nginx to answer');
    if (!child.running) throw new Error('nginx ended');
  } catch (error) {
    await child.end('SIGKILL');
    throw new Error(`${String(error)}\n${child.lines.join('\n')}`, { cause: error });
  }
  return { port, url, log, stop: () => child.end('SIGTERM') };
}
