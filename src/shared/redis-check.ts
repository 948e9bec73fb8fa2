import { FleetError, errorMessage } from './errors.ts';
import type { Redis } from './redis.ts';

const OLDEST = [6, 2] as const;

const unsafe = (message: string, remedy: string): FleetError => new FleetError('REDIS_UNSAFE', message, { remedy });

/**
 * Refuses a Redis that would lose jobs or cannot run them: too old, evicting, read-only, or unreadable.
 * A Redis without persistence is allowed and said aloud. Returns a description for people.
 */
export async function checkRedis(redis: Redis): Promise<string> {
  const info = parseInfo(await readInfo(redis));
  const kind = info.has('valkey_version') ? 'Valkey' : 'Redis';
  const version = info.get('valkey_version') ?? info.get('redis_version') ?? '';
  // Valkey reports in `redis_version` the Redis it is compatible with, which is the one that counts.
  const [major = 0, minor = 0] = (info.get('redis_version') ?? version).split('.').map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    throw unsafe(
      `${kind} ${version || 'of unknown version'} is too old: ${OLDEST.join('.')} or newer is needed`,
      'Upgrade it, or unset REDIS_URL so that a private one is started.',
    );
  }
  const role = info.get('role') ?? 'unknown';
  if (role !== 'master') {
    throw unsafe(
      `this ${kind} ${version} is a replica (role ${role}), which takes no writes`,
      'Point REDIS_URL at the primary.',
    );
  }
  const policy = (await configured(redis, 'maxmemory-policy')) ?? info.get('maxmemory_policy');
  if (policy === undefined) {
    throw unsafe(
      `the maxmemory-policy of this ${kind} ${version} cannot be read, so it may drop jobs`,
      'Allow this user to run CONFIG GET or INFO memory.',
    );
  }
  if (policy !== 'noeviction') {
    throw unsafe(
      `this ${kind} ${version} has maxmemory-policy ${policy}, which drops jobs silently when memory is short`,
      'Run `CONFIG SET maxmemory-policy noeviction` on it, and set the same in its configuration file.',
    );
  }
  const persistence = await describePersistence(redis, info);
  return `${kind} ${version}, noeviction, ${persistence}`;
}

async function readInfo(redis: Redis): Promise<string> {
  try {
    return await redis.info();
  } catch (err) {
    throw unsafe(`this Redis does not say what it is: ${errorMessage(err)}`, 'Allow this user to run INFO.');
  }
}

const parseInfo = (text: string): Map<string, string> =>
  new Map(
    text
      .split(/\r?\n/)
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  );

/** Managed services forbid CONFIG; then INFO has to do. */
async function configured(redis: Redis, setting: string): Promise<string | undefined> {
  try {
    const answer: unknown = await redis.config('GET', setting);
    const value: unknown = Array.isArray(answer) ? answer[1] : undefined;
    return typeof value === 'string' ? value : undefined;
  } catch (err) {
    if (/NOPERM|unknown command|not allowed|disabled|ERR/i.test(errorMessage(err))) return undefined;
    throw err;
  }
}

async function describePersistence(redis: Redis, info: Map<string, string>): Promise<string> {
  if (info.get('aof_enabled') === '1') return 'append-only file on';
  const save = await configured(redis, 'save');
  if (save === undefined) return 'WARNING: append-only file off, whether snapshots are taken is unknown';
  return save === ''
    ? 'WARNING: no persistence, so a restart of Redis loses every run'
    : 'WARNING: snapshots only, so a crash of Redis loses the latest work';
}
