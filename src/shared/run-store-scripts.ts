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
 * ARGV: field ('' for events alone), value expected, value to set, lock token ('' for none), events.
 * Replies OK, CHANGED (somebody else wrote the field) or STALE (another attempt holds the job).
 */
export const APPLY = `
if ARGV[4] ~= '' and redis.call('GET', KEYS[4]) ~= ARGV[4] then return 'STALE' end
if ARGV[1] ~= '' then
  if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 'CHANGED' end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
for i = 5, #ARGV do
  local seq = redis.call('HINCRBY', KEYS[2], 'seq', 1)
  redis.call('XADD', KEYS[3], seq .. '-0', 'event', ARGV[i])
end
return 'OK'
`;
