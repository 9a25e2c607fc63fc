/**
 * A process that adds and removes packages until it is killed, and says what it does: argv is the folder. What
 * a line says is true when it is printed: a pipe takes it before the next step.
 */
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { Library, readFields } from '../../../nodes/lib/packages/library';

const [folder = ''] = process.argv.slice(2);

function say(...words: string[]): void {
  fs.writeSync(1, `${words.join(' ')}\n`);
}

async function work(): Promise<void> {
  const { library } = await Library.open(path.join(folder, 'packages'));
  const fields = readFields({ version: 'v1' }, { signMethod: 'Md5' });
  const common = {
    fields,
    baseUrl: 'http://h',
    privateKey: null,
    hosts: { allowedHosts: [], allowLocal: false },
    maxBytes: 1e9,
    onBytes: () => {},
  };
  const stop = new AbortController().signal;
  const kept: string[] = [];
  say('ready');
  for (let round = 0; ; round += 1) {
    const bytes = randomBytes(200_000 + 1000 * (round % 7));
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const filename = path.join(folder, `${process.pid}-${round}.bin`);
    const isFile = round % 2 === 0;
    if (isFile) {
      fs.writeFileSync(filename, bytes);
      say('moving', sha256, filename);
    }
    const source = isFile
      ? ({ kind: 'file', filename } as const)
      : ({ kind: 'content', content: bytes } as const);
    const { id } = await library.add({ ...common, source, stop });
    kept.push(id);
    say('added', id);
    const old = kept.length > 3 ? kept.shift() : undefined;
    if (old !== undefined) {
      say('removing', old);
      await library.remove(old, '');
      say('removed', old);
    }
  }
}

void work();
