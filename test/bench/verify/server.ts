/** A process that serves packages: GET /<MiB>, from memory, so that its own work is small. Prints its port. */
import http from 'node:http';
import { listen } from '../../support/ports';
import { block, MIB } from './body';

const piece = block();
const server = http.createServer((request, response) => {
  let left = Number(/^\/([0-9]{1,5})$/.exec(request.url ?? '')?.[1] ?? 0);
  response.writeHead(200, { 'Content-Length': left * MIB, ETag: `"${left}"` });
  const send = (): void => {
    while (left > 0) {
      left -= 1;
      if (!response.write(piece)) return void response.once('drain', send);
    }
    response.end();
  };
  send();
});

void listen(server).then((port) => console.log(port));
// It ends with whoever started it, however that ends.
process.stdin.on('end', () => process.exit()).resume();
