/**
 * Which device used which verified file last, and when: `keep` counts for each device, also where several share a
 * file. Kept in one file outside the folder of packages. Holds hashes of access tokens, never the tokens.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { isObject, OtaError } from '../../protocol';

/** Of one file; a gateway may stand before many devices, and forgets the longest unseen ones first. */
const MAX_USERS = 4096;
const FORMAT = 1;

/** Milliseconds since 1970 by user. */
export type Users = ReadonlyMap<string, number>;

/** One for each file: nodes that share a folder share what they know of it. */
const known = new Map<string, FileUses>();

export class FileUses {
  readonly #file: string | null;
  readonly #files = new Map<string, Map<string, number>>();
  #latest = 0;

  private constructor(file: string | null) {
    this.#file = file;
  }

  /**
   * @param file where it is kept, or null for memory only
   * @param onFault a file that is damaged is set aside as `.bad`, and told
   */
  static open(file: string | null, onFault: (error: OtaError) => void): FileUses {
    if (file === null) return new FileUses(null);
    const shared = known.get(file) ?? new FileUses(file);
    if (!known.has(file)) shared.#load(file, onFault);
    known.set(file, shared);
    return shared;
  }

  /** Who used a file of the folder; nobody where it isn't known. */
  usersOf(name: string): Users {
    return this.#files.get(name) ?? new Map();
  }

  /** Notes that a device uses a file now. `token` blank: nobody in particular. @throws OtaError OTA_FILE */
  note(name: string, token: string): void {
    const users = this.#files.get(name) ?? new Map<string, number>();
    // Whatever the clock does, what is used later is newer.
    this.#latest = Math.max(Date.now(), this.#latest + 1);
    const user = token === '' ? '' : createHash('sha256').update(token).digest('hex').slice(0, 16);
    users.delete(user);
    users.set(user, this.#latest);
    const [oldest] = users.keys();
    if (users.size > MAX_USERS && oldest !== undefined) users.delete(oldest);
    this.#files.set(name, users);
  }

  forget(name: string): void {
    this.#files.delete(name);
  }

  /** Writes what is known, of the files that are there. @throws OtaError OTA_FILE */
  save(names: readonly string[]): void {
    const there = new Set(names);
    for (const name of this.#files.keys()) if (!there.has(name)) this.#files.delete(name);
    if (this.#file === null) return;
    const files = Object.fromEntries(
      [...this.#files].map(([name, users]) => [name, Object.fromEntries(users)]),
    );
    const temporary = `${this.#file}.tmp`;
    try {
      fs.mkdirSync(path.dirname(this.#file), { recursive: true, mode: 0o700 });
      fs.rmSync(temporary, { force: true });
      fs.writeFileSync(temporary, JSON.stringify({ format: FORMAT, files }), { mode: 0o600, flag: 'wx' });
      fs.renameSync(temporary, this.#file);
    } catch (error) {
      throw new OtaError('OTA_FILE', "What is kept for which device can't be written: older files may go.", {
        cause: error,
      });
    }
  }

  #load(file: string, onFault: (error: OtaError) => void): void {
    try {
      this.#read(JSON.parse(fs.readFileSync(file, 'utf8')));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      try {
        fs.renameSync(file, `${file}.bad`);
      } catch {
        // It is written anew all the same.
      }
      onFault(
        new OtaError('OTA_FILE', 'The list of which device uses which file was damaged and is set aside.', {
          cause: error,
        }),
      );
    }
  }

  #read(value: unknown): void {
    const files = isObject(value) && value['format'] === FORMAT ? value['files'] : null;
    if (!isObject(files)) throw new Error('not a list of files');
    for (const [name, users] of Object.entries(files)) {
      if (!isObject(users)) throw new Error('not a list of users');
      const entries = Object.entries(users).filter((entry): entry is [string, number] =>
        Number.isFinite(entry[1]),
      );
      this.#files.set(name, new Map(entries.sort(([, a], [, b]) => a - b)));
      for (const [, at] of entries) this.#latest = Math.max(this.#latest, at);
    }
  }
}
