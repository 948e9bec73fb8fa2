import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { link, lstat, mkdir, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { FleetError, errorMessage } from '../shared/errors.ts';
import { hasCode } from '../shared/file-lock.ts';
import type { Logger } from '../shared/logger.ts';
import type { Sandbox } from '../shared/sandbox/sandbox.ts';
import { readRegularFile } from './hostile-files.ts';

const KEY_BYTES = 32;
const MAX_ENTRY_BYTES = 32 * 1024 ** 2;
const Sealed = z.strictObject({ key: z.string(), value: z.unknown() });

export interface SealedCacheOptions {
  folder: string;
  logger: Logger;
  /** The least recently used entries go first. */
  maxEntries?: number;
  maxBytes?: number;
}

/**
 * Whether commands in this sandbox are kept from the fleet's own folders. Bubblewrap mounts none of them; without
 * mounts, only a user of their own keeps commands out. Where neither holds, nothing may be remembered on disk.
 */
export const isOutOfReach = (sandbox: Sandbox): boolean => sandbox.kind === 'bwrap' || process.getuid?.() === 0;

/**
 * A folder of results that only this user of this machine can have written: private, each entry sealed with a key
 * that lies beside it and is as private. An entry that anything else wrote, moved or altered is refused and removed.
 */
export class SealedCache {
  readonly folder: string;
  readonly #logger: Logger;
  readonly #secret: Buffer;
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  #tickets = 0;

  private constructor(options: SealedCacheOptions, secret: Buffer) {
    this.folder = options.folder;
    this.#logger = options.logger;
    this.#secret = secret;
    this.#maxEntries = options.maxEntries ?? 500;
    this.#maxBytes = options.maxBytes ?? 256 * 1024 ** 2;
  }

  /** Throws when the folder, or its key, is not this user's alone. */
  static async open(options: SealedCacheOptions): Promise<SealedCache> {
    await mkdir(dirname(options.folder), { recursive: true });
    await mkdir(options.folder, { mode: 0o700 }).catch((err: unknown) => {
      if (!hasCode(err, 'EEXIST')) throw err;
    });
    await requirePrivate(options.folder, 'folder');
    return new SealedCache(options, await readSecret(join(options.folder, 'key')));
  }

  /** What was kept under this key, or undefined. */
  async read(key: string): Promise<unknown> {
    const path = this.#pathOf(key);
    try {
      await requirePrivate(path, 'file');
      const bytes = await readRegularFile(path, MAX_ENTRY_BYTES);
      const value = bytes === undefined ? undefined : this.#unseal(key, bytes);
      if (value === undefined) throw new FleetError('INTERNAL', 'it carries no seal of this machine');
      const now = new Date();
      await utimes(path, now, now).catch(ignoreAbsence);
      return value;
    } catch (err) {
      if (hasCode(err, 'ENOENT')) return undefined;
      this.#logger.warn({ path, reason: errorMessage(err) }, 'a kept result was refused and removed');
      await rm(path, { recursive: true, force: true });
      return undefined;
    }
  }

  /** Keeps a value of plain data. Several processes may write at once: each entry is one writer's, whole. */
  async write(key: string, value: unknown): Promise<void> {
    const body = JSON.stringify({ key, value });
    const sealed = `${this.#sealOf(body).toString('hex')}\n${body}`;
    if (Buffer.byteLength(sealed) > MAX_ENTRY_BYTES) return;
    this.#tickets += 1;
    const aside = join(this.folder, `writing-${process.pid}-${this.#tickets}-${randomBytes(4).toString('hex')}`);
    await writeFile(aside, sealed, { flag: 'wx', mode: 0o600 });
    await rename(aside, this.#pathOf(key));
    await this.#shrink();
  }

  #pathOf(key: string): string {
    return join(this.folder, `${createHash('sha256').update(key).digest('hex')}.json`);
  }

  #sealOf(body: string): Buffer {
    return createHmac('sha256', this.#secret).update(body).digest();
  }

  #unseal(key: string, bytes: Buffer): unknown {
    const text = bytes.toString('utf8');
    const end = text.indexOf('\n');
    const given = Buffer.from(text.slice(0, Math.max(0, end)), 'hex');
    const body = text.slice(end + 1);
    const expected = this.#sealOf(body);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
    const sealed = Sealed.parse(JSON.parse(body));
    return sealed.key === key ? sealed.value : undefined;
  }

  async #shrink(): Promise<void> {
    const names = (await readdir(this.folder)).filter((name) => name.endsWith('.json') || name.startsWith('writing-'));
    const found = await Promise.all(
      names.map(async (name) => {
        const path = join(this.folder, name);
        const stats = await lstat(path).catch(ignoreAbsence);
        return stats === undefined ? [] : [{ path, used: stats.mtimeMs, bytes: stats.size }];
      }),
    );
    let count = 0;
    let bytes = 0;
    for (const entry of found.flat().toSorted((a, b) => b.used - a.used)) {
      count += 1;
      bytes += entry.bytes;
      if (count > this.#maxEntries || bytes > this.#maxBytes) await rm(entry.path, { recursive: true, force: true });
    }
  }
}

const ignoreAbsence = (err: unknown): undefined => {
  if (!hasCode(err, 'ENOENT')) throw err;
  return undefined;
};

async function requirePrivate(path: string, kind: 'file' | 'folder'): Promise<void> {
  const stats = await lstat(path);
  const isRightKind = kind === 'file' ? stats.isFile() : stats.isDirectory();
  const isOwn = process.getuid === undefined || stats.uid === process.getuid();
  if (!isRightKind || !isOwn || (stats.mode & 0o077) !== 0) {
    throw new FleetError('BAD_USAGE', `${path} is no ${kind} of this user's alone`, {
      remedy: `Remove ${path}; it is made anew.`,
    });
  }
}

/** The key appears whole or not at all, and the first of several writers wins. */
async function readSecret(path: string): Promise<Buffer> {
  const aside = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  await writeFile(aside, randomBytes(KEY_BYTES), { flag: 'wx', mode: 0o600 });
  try {
    await link(aside, path);
  } catch (err) {
    if (!hasCode(err, 'EEXIST')) throw err;
  } finally {
    await rm(aside, { force: true });
  }
  await requirePrivate(path, 'file');
  const secret = await readRegularFile(path, KEY_BYTES);
  if (secret?.length !== KEY_BYTES) {
    throw new FleetError('BAD_USAGE', `${path} is no key`, { remedy: `Remove ${path}; it is made anew.` });
  }
  return secret;
}
