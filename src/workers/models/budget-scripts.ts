import { RedisScript } from '../../shared/redis-script.ts';
import { DAY_KEYS, KEEP_DAYS } from '../../shared/spend-days.ts';

const KEEP_SECONDS = KEEP_DAYS * 24 * 3600;

/**
 * KEYS: 1 account of the run, 2 its ledger, 3 and 4 the accounts of the day: of the workflow and of the fleet,
 * 5 and 6 the same for the day on which a reservation was made that is closed now.
 * Dollars are counted in millionths. What is open is kept as JSON: `{nonce, tokens, micros, day, call}`.
 */
const COMMON = `
local function whole(n) return string.format('%.0f', n) end
local function add(key, field, n)
  if n ~= 0 then redis.call('HINCRBY', key, field, whole(n)) end
end
local counts = {'inputTokens', 'outputTokens', 'cacheReadTokens', 'cacheWriteTokens', 'thinkingTokens', 'repeatTokens', 'repeatCachedTokens'}
local function tokensOf(call)
  return call.inputTokens + call.outputTokens + call.cacheReadTokens + call.cacheWriteTokens
end
local function count(key, under, call)
  local unpriced = call.micros == cjson.null
  if unpriced then add(key, under .. 'unpricedCalls', 1) end
  if call.simulated then add(key, under .. 'simulatedCalls', 1) end
  if call.replayed then add(key, under .. 'replayedCalls', 1) end
  if call.outcome == 'unknown' then
    add(key, under .. 'unknownCalls', 1)
    add(key, under .. 'unknownTokens', tokensOf(call))
    if not unpriced then add(key, under .. 'unknownMicros', call.micros) end
    return
  end
  add(key, under .. (call.outcome == 'failed' and 'failedCalls' or 'calls'), 1)
  for _, name in ipairs(counts) do add(key, under .. name, call[name]) end
  if not unpriced then add(key, under .. 'micros', call.micros) end
end

-- Ends a reservation: gives back what was set aside, counts what was used, and writes it into the ledger.
local function close(id, open, call, workflow, fleet)
  redis.call('HDEL', KEYS[1], 'open:' .. id)
  local tokens, micros = tokensOf(call), call.micros
  if micros == cjson.null then micros = 0 end
  for _, key in ipairs({KEYS[1], workflow, fleet}) do
    add(key, 'reservedTokens', 0 - open.tokens)
    add(key, 'reservedMicros', 0 - open.micros)
    add(key, 'spentTokens', tokens)
    add(key, 'spentMicros', micros)
    if call.outcome == 'unknown' then add(key, 'unknownCalls', 1) end
    if call.micros == cjson.null then add(key, 'unpricedCalls', 1) end
    if call.simulated then add(key, 'simulatedCalls', 1) end
    add(key, 'calls', 1)
  end
  count(KEYS[1], 'phase:' .. call.phase .. ':', call)
  count(fleet, 'all:', call)
  for _, by in ipairs({${DAY_KEYS.map((key) => `'${key}'`).join(', ')}}) do
    count(fleet, by .. ':' .. call[by] .. ':', call)
  end
  redis.call('EXPIRE', workflow, ${KEEP_SECONDS})
  redis.call('EXPIRE', fleet, ${KEEP_SECONDS})
end
`;

/**
 * Reserves the worst case of a call, or says which limit stands in the way.
 * A reservation of the same id that was never settled belongs to a worker that was killed: nobody knows what the call
 * cost, so its worst case is counted as spent.
 * ARGV: 1 id, 2 what is to be open, 3 the day of what was open before, 4 to 9 the limits in tokens and dollars of run,
 * workflow and fleet ('' for none).
 */
export const RESERVE = new RedisScript(`${COMMON}
local before = redis.call('HGET', KEYS[1], 'open:' .. ARGV[1])
local oldTokens, oldMicros = string.match(before or '', '^(%d+) (%d+)$')
if oldTokens then
  -- Left by a version that kept the account of the run alone, and of a reservation these two numbers.
  local call = cjson.decode(ARGV[2]).call
  call.inputTokens, call.outputTokens, call.micros = tonumber(oldTokens), 0, tonumber(oldMicros)
  redis.call('HDEL', KEYS[1], 'open:' .. ARGV[1])
  for name, n in pairs({Tokens = call.inputTokens, Micros = call.micros}) do
    add(KEYS[1], 'reserved' .. name, 0 - n)
    add(KEYS[1], 'spent' .. name, n)
  end
  add(KEYS[1], 'unknownCalls', 1)
  add(KEYS[1], 'calls', 1)
  count(KEYS[1], 'phase:' .. call.phase .. ':', call)
  redis.call('RPUSH', KEYS[2], cjson.encode(call))
elseif before then
  local open = cjson.decode(before)
  if open.day ~= ARGV[3] then return {'again', open.day} end
  close(ARGV[1], open, open.call, KEYS[5], KEYS[6])
  redis.call('RPUSH', KEYS[2], cjson.encode(open.call))
end
local wanted = cjson.decode(ARGV[2])
local accounts = {KEYS[1], KEYS[3], KEYS[4]}
local scopes = {'run', 'workflow', 'fleet'}
local function sum(key, kind)
  local read = redis.call('HMGET', key, 'spent' .. kind, 'reserved' .. kind)
  return tonumber(read[1] or '0') + tonumber(read[2] or '0')
end
for i, key in ipairs(accounts) do
  local most = {Tokens = tonumber(ARGV[2 + i * 2]), Micros = tonumber(ARGV[3 + i * 2])}
  local asked = {Tokens = wanted.tokens, Micros = wanted.micros}
  for _, kind in ipairs({'Tokens', 'Micros'}) do
    if most[kind] then
      local taken = sum(key, kind)
      if taken + asked[kind] > most[kind] then return {'full', scopes[i], kind, whole(taken), whole(most[kind])} end
    end
  end
end
redis.call('HSET', KEYS[1], 'open:' .. ARGV[1], ARGV[2])
for _, key in ipairs(accounts) do
  add(key, 'reservedTokens', wanted.tokens)
  add(key, 'reservedMicros', wanted.micros)
end
redis.call('EXPIRE', KEYS[3], ${KEEP_SECONDS})
redis.call('EXPIRE', KEYS[4], ${KEEP_SECONDS})
return {'ok', ''}
`);

/**
 * Settles a reservation. ARGV: 1 id, 2 its nonce, 3 the call as it ended. A reservation that somebody else has made since
 * is left alone: what this one may have used was counted when that one was made.
 */
export const SETTLE = new RedisScript(`${COMMON}
local before = redis.call('HGET', KEYS[1], 'open:' .. ARGV[1])
local open = before and string.sub(before, 1, 1) == '{' and cjson.decode(before)
if not open or open.nonce ~= ARGV[2] then return 0 end
close(ARGV[1], open, cjson.decode(ARGV[3]), KEYS[5], KEYS[6])
redis.call('RPUSH', KEYS[2], ARGV[3])
return 1
`);

/** What is still free below a limit is read in one step. KEYS: the three accounts. */
export const STANDING = new RedisScript(`
local read = {}
for i, key in ipairs(KEYS) do
  local one = redis.call('HMGET', key, 'spentTokens', 'reservedTokens', 'spentMicros', 'reservedMicros')
  for j = 1, 4 do read[#read + 1] = one[j] or '0' end
end
return read
`);
