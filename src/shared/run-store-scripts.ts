import { ANNOUNCE_SCRIPT } from './fleet-log.ts';
import { INDEX_SCRIPT, type IndexChange, indexArgument } from './run-index.ts';
import type { NewRunEvent } from './run-record.ts';

/**
 * KEYS: run hash, phases hash, events stream, fleet's log.
 * ARGV: plan, run record, index changes, first event, run id, then phase name and record in turn.
 */
export const CREATE = `${INDEX_SCRIPT}${ANNOUNCE_SCRIPT}
if redis.call('HSETNX', KEYS[1], 'plan', ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'run', ARGV[2], 'seq', 1)
index(ARGV[3])
redis.call('XADD', KEYS[3], '1-0', 'event', ARGV[4])
announce(KEYS[4], ARGV[5], 1, 'run.queued')
for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
`;

/**
 * Compare-and-set of one hash field, and of questions with it, together with the events that tell of it.
 * KEYS: hash, run hash (holds the last sequence number), events stream, lock, fleet's log, hash of the questions.
 * ARGV: field ('' for events alone), value expected, value to set, lock token and generation ('' for none), index
 * changes, run id, JSON list of [question id, value expected, value to set], then type and body of each event in turn.
 * Replies OK, CHANGED (somebody else wrote one of the fields), STALE (another attempt holds the job, or the run was resumed)
 * or GONE (the run is not in Redis).
 */
export const APPLY = `${INDEX_SCRIPT}${ANNOUNCE_SCRIPT}
if redis.call('EXISTS', KEYS[2]) == 0 then return 'GONE' end
if ARGV[4] ~= '' and redis.call('GET', KEYS[4]) ~= ARGV[4] then return 'STALE' end
if ARGV[5] ~= '' and (redis.call('HGET', KEYS[2], 'generation') or '0') ~= ARGV[5] then return 'STALE' end
if ARGV[1] ~= '' then
  if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 'CHANGED' end
  local questions = cjson.decode(ARGV[8])
  for _, one in ipairs(questions) do
    if (redis.call('HGET', KEYS[6], one[1]) or '') ~= one[2] then return 'CHANGED' end
  end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  for _, one in ipairs(questions) do redis.call('HSET', KEYS[6], one[1], one[3]) end
  index(ARGV[6])
end
for i = 9, #ARGV, 2 do
  local seq = redis.call('HINCRBY', KEYS[2], 'seq', 1)
  redis.call('XADD', KEYS[3], seq .. '-0', 'event', ARGV[i + 1])
  announce(KEYS[5], ARGV[7], seq, ARGV[i])
end
return 'OK'
`;

/** What APPLY writes; '' for a field that is not there, and no field for events alone. */
export interface Write {
  key: string;
  field: string;
  before: string;
  after: string;
  changes: readonly IndexChange[];
  /** Id, value expected and value to set of each. */
  questions?: readonly (readonly string[])[];
}

/** The ARGV of APPLY. */
export function applyArguments(
  { field, before, after, changes, questions = [] }: Write,
  of: { runId: string; events: readonly NewRunEvent[]; fence: { token: string; generation: number } | undefined },
): string[] {
  const at = new Date().toISOString();
  const lock = of.fence === undefined ? ['', ''] : [of.fence.token, String(of.fence.generation)];
  const events = of.events.flatMap((event) => [event.type, JSON.stringify({ ...event, at })]);
  const also = JSON.stringify(questions);
  return [field, before, after, ...lock, indexArgument(changes), of.runId, also, ...events];
}

/**
 * Takes an ended run up again.
 * KEYS: run hash, phases hash, events stream, fleet's log.
 * ARGV: run record expected, run record to set, generation expected, last sequence number expected, index changes,
 * event, run id, then phase name and record in turn.
 */
export const REOPEN = `${INDEX_SCRIPT}${ANNOUNCE_SCRIPT}
if redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then return 0 end
if (redis.call('HGET', KEYS[1], 'generation') or '0') ~= ARGV[3] then return 0 end
if redis.call('HGET', KEYS[1], 'seq') ~= ARGV[4] then return 0 end
redis.call('HSET', KEYS[1], 'run', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'generation', 1)
index(ARGV[5])
for i = 8, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
redis.call('XADD', KEYS[3], seq .. '-0', 'event', ARGV[6])
announce(KEYS[4], ARGV[7], seq, 'run.resumed')
return 1
`;
