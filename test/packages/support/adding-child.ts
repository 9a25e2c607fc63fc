/** A process that adds one package from an address, and says its id: argv is the folder of packages, and the address. */
import { Library } from '../../../nodes/lib/packages/library';
import { request } from '../library-support';

const [folder = '', url = ''] = process.argv.slice(2);

async function add(): Promise<void> {
  const { library } = await Library.open(folder);
  const { id } = await library.add(request({ kind: 'url', url }));
  console.log(`added ${id}`);
}

void add();
