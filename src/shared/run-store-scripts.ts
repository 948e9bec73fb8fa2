/**
 * KEYS: run hash, phases hash, events stream, runs index.
 * ARGV: run id, plan, run record, created (ms), first event, then phase name and record in turn.
 */
export const CREATE = `
if redis.call('HSETNX', KEYS[1], 'plan', ARGV[2]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'run', ARGV[3], 'seq', 1)
redis.call('ZADD', KEYS[4], ARGV[4], ARGV[1])
redis.call('XADD', KEYS[3], '1-0', 'event', ARGV[5])
for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
`;

/**
 * Compare-and-set of one hash field together with the events that tell of it.
 * KEYS: hash, run hash (holds the last sequence number), events stream, lock.
 * ARGV: field ('' for events alone), value expected, value to set, lock token and generation ('' for none), events.
 * Replies OK, CHANGED (somebody else wrote the field) or STALE (another attempt holds the job, or the run was resumed).
 */
export const APPLY = `
if ARGV[4] ~= '' and redis.call('GET', KEYS[4]) ~= ARGV[4] then return 'STALE' end
if ARGV[5] ~= '' and (redis.call('HGET', KEYS[2], 'generation') or '0') ~= ARGV[5] then return 'STALE' end
if ARGV[1] ~= '' then
  if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 'CHANGED' end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
for i = 6, #ARGV do
  local seq = redis.call('HINCRBY', KEYS[2], 'seq', 1)
  redis.call('XADD', KEYS[3], seq .. '-0', 'event', ARGV[i])
end
return 'OK'
`;

/**
 * Takes an ended run up again.
 * KEYS: run hash, phases hash, events stream.
 * ARGV: run record expected, run record to set, generation expected, event, then phase name and record in turn.
 */
export const REOPEN = `
if redis.call('HGET', KEYS[1], 'run') ~= ARGV[1] then return 0 end
if (redis.call('HGET', KEYS[1], 'generation') or '0') ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], 'run', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'generation', 1)
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
redis.call('XADD', KEYS[3], seq .. '-0', 'event', ARGV[4])
return 1
`;
