import { z } from 'zod';
import { Name } from './names.ts';
import type { Redis } from './redis.ts';
import { NOW_SCRIPT, RedisScript } from './redis-script.ts';
import { runKey } from './run-keys.ts';
import type { Fence } from './run-store.ts';

/** How long a command is shown that nobody writes of any more, because its worker is gone. */
export const LIVE_TTL_MS = 30_000;
/** How many characters of the end of an output are kept. */
export const LIVE_CHARS = 8_192;
/** Of a run with more commands under way than these, some are not shown. */
const MOST_COMMANDS = 500;

/** A command that a persona runs right now, and the end of what it has printed. Gone with the command. */
export const LiveCommand = z.strictObject({
  phase: Name,
  persona: Name,
  kind: z.enum(['work', 'review']),
  round: z.number().int().nonnegative(),
  /** Whether no real model asked for it. */
  simulated: z.boolean(),
  /** Whether a recording asked for it. */
  replayed: z.boolean().optional(),
  /** The call of the conversation that runs it. */
  toolUseId: z.string(),
  tool: z.string(),
  /** What is run; its beginning, where it is long. */
  command: z.string(),
  startedAt: z.iso.datetime(),
  /** What it has printed so far. */
  bytes: z.number().int().nonnegative(),
  /** The end of that, stdout and stderr together, without keys, and with invisible characters written out. */
  text: z.string(),
  /** How many characters of such text there were so far: those from `end - text.length` on are in `text`. */
  end: z.number().int().nonnegative(),
});
export type LiveCommand = z.infer<typeof LiveCommand>;

/** What tells a command from others: a call may be run again by another attempt. */
export const commandKey = ({ phase, persona, kind, round, toolUseId, startedAt }: LiveCommand): string =>
  [phase, persona, kind, round, toolUseId, startedAt].join('/');

/**
 * KEYS: the command's key, the run's index of them, job lock, run hash.
 * ARGV: conversation, command, lock token, generation, time to live in milliseconds.
 */
const PUT = new RedisScript(`
if redis.call('GET', KEYS[3]) ~= ARGV[3] then return 'STALE' end
if (redis.call('HGET', KEYS[4], 'generation') or '0') ~= ARGV[4] then return 'STALE' end
${NOW_SCRIPT}redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[5])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], now + ARGV[5], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return 'OK'
`);

/** KEYS and ARGV as above. */
const DROP = new RedisScript(`
if redis.call('GET', KEYS[3]) ~= ARGV[3] then return 'STALE' end
if (redis.call('HGET', KEYS[4], 'generation') or '0') ~= ARGV[4] then return 'STALE' end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 'OK'
`);

const keyOf = (prefix: string, runId: string, conversation: string): string =>
  `${runKey(prefix, runId, 'commands')}:${conversation}`;

/** Where the command of one conversation stands while it runs; there is one at a time. */
export interface LivePlace {
  redis: Redis;
  prefix: string;
  runId: string;
  conversation: string;
  fence: Fence;
}

/** Returns false, and changes nothing, when another attempt holds the job or the run was taken up again. */
export const putLiveCommand = async (place: LivePlace, command: LiveCommand): Promise<boolean> =>
  write(PUT, place, JSON.stringify(command));

export const dropLiveCommand = async (place: LivePlace): Promise<boolean> => write(DROP, place, '');

async function write(script: RedisScript, place: LivePlace, command: string): Promise<boolean> {
  const { redis, prefix, runId, conversation, fence } = place;
  const { lockKey, token, generation } = fence;
  const keys = [keyOf(prefix, runId, conversation), runKey(prefix, runId, 'commands'), lockKey, runKey(prefix, runId)];
  const args = [conversation, command, token, String(generation), String(LIVE_TTL_MS)];
  return (await script.run(redis, keys, args)) === 'OK';
}

/** The commands that personas of a run are running, oldest first. */
export async function readLiveCommands(redis: Redis, prefix: string, runId: string): Promise<LiveCommand[]> {
  const known = await redis.zrevrange(runKey(prefix, runId, 'commands'), 0, MOST_COMMANDS - 1);
  if (known.length === 0) return [];
  const found = await redis.mget(known.map((conversation) => keyOf(prefix, runId, conversation)));
  return found
    .flatMap((text) => (text === null ? [] : [LiveCommand.parse(JSON.parse(text))]))
    .toSorted((a, b) => a.startedAt.localeCompare(b.startedAt));
}
