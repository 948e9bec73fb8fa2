import { PRESENT_MS } from '../../shared/model-limits.ts';
import { NOW_SCRIPT, RedisScript } from '../../shared/redis-script.ts';

/** How long a call is counted as under way after its worker was last heard of. */
export const LEASE_MS = 60_000;
/** Calls that are let through at once when a pause ends; each that is answered lets one more through. */
const PROBES = 2;
/** So many at once, and the ramp is over. */
const RAMP_TOP = 64;
/** Failures in a row that open the breaker of an endpoint, and for how long: twice as long each time its probe fails. */
export const BREAKER = { failures: 5, openMs: 5_000, mostMs: 120_000 } as const;
/** Without a word of the provider, how long to wait; twice as long each time, up to a minute. */
const FIRST_PAUSE_MS = 1_000;
const FORGET_MS = 30 * 60_000;
const KEEP_MS = 25 * 3600_000;

/**
 * Redis's clock is the fleet's. KEYS: state of the model, waiting, seen, calls under way, endpoint, index.
 * A waiting call is noted as `input|output|id`, with the tokens that it may take.
 */
const COMMON = `${NOW_SCRIPT}
local kinds = {'requests', 'input', 'output', 'tokens'}
local function field(name) return tonumber(redis.call('HGET', KEYS[1], name) or '') end
local function bucket(kind)
  local limit = field(kind .. ':limit')
  if not limit then return nil end
  local rate = field(kind .. ':rate') or limit / 60000
  local left = (field(kind .. ':left') or limit) + (now - (field(kind .. ':at') or now)) * rate
  return limit, math.min(limit, left), rate
end
local function fill(kind, left) redis.call('HSET', KEYS[1], kind .. ':left', left, kind .. ':at', now) end
local function wants(member)
  local input, output = string.match(member, '^(%d+)|(%d+)|')
  -- An answer is rarely as long as it may be; what it takes beyond twice the usual is paid back by the next ones.
  local usual = field('usualOutput')
  local out = tonumber(output)
  if usual then out = math.min(out, math.ceil(usual * 2)) end
  return {requests = 1, input = tonumber(input), output = out, tokens = tonumber(input) + out}
end
local function keep()
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ${KEEP_MS}) end
end
`;

/**
 * Asks for the turn of a call. ARGV: member, name in the index, limits that are configured ('' for none) by kind.
 * Returns go, the time and what was taken of input and output; or wait, the time, for how long, why, and a detail.
 */
export const ENTER = new RedisScript(`${COMMON}
local me = ARGV[1]
redis.call('ZADD', KEYS[6], now, ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', now - ${KEEP_MS})
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - ${FORGET_MS}, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('ZREM', KEYS[3], gone)
end
redis.call('ZADD', KEYS[2], 'NX', tonumber(clock[1]) * 1000000 + tonumber(clock[2]), me)
redis.call('ZADD', KEYS[3], now, me)
keep()
local function wait(ms, why, detail) return {'wait', tostring(now), tostring(math.ceil(ms)), why, detail or ''} end

for i, kind in ipairs(kinds) do
  local limit, left = bucket(kind)
  local set = tonumber(ARGV[2 + i])
  local isSet = redis.call('HGET', KEYS[1], kind .. ':source') == 'configured'
  if set and (not limit or limit > set or (isSet and limit ~= set)) then
    redis.call('HSET', KEYS[1], kind .. ':limit', set, kind .. ':source', 'configured')
    redis.call('HDEL', KEYS[1], kind .. ':rate')
    fill(kind, math.min(left or set, set))
  elseif not set and isSet then
    redis.call('HDEL', KEYS[1], kind .. ':limit', kind .. ':source', kind .. ':rate', kind .. ':left', kind .. ':at')
  end
end

local isProbe = false
if redis.call('HGET', KEYS[5], 'state') == 'open' then
  local till = tonumber(redis.call('HGET', KEYS[5], 'until'))
  local why = redis.call('HGET', KEYS[5], 'error')
  redis.call('HSET', KEYS[1], 'level', ${PROBES}, 'rampFrom', till)
  if till > now then return wait(till - now, 'breaker', why) end
  local probe = redis.call('HGET', KEYS[5], 'probe')
  local probeTill = tonumber(redis.call('HGET', KEYS[5], 'probeUntil') or '0')
  if probe and probe ~= me and probeTill > now then return wait(1000, 'breaker', why) end
  isProbe = true
end

local paused = field('pausedUntil') or 0
if paused > now then
  local why = redis.call('HGET', KEYS[1], 'overloaded') == '1' and 'overloaded' or 'paused'
  return wait(paused - now, why, redis.call('HGET', KEYS[1], 'reason'))
end

local mine = wants(me)
local ahead = {requests = 0, input = 0, output = 0, tokens = 0}
for _, other in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  if other == me then break end
  local seen = tonumber(redis.call('ZSCORE', KEYS[3], other) or '0')
  if seen > now - ${PRESENT_MS} and seen <= now then
    for kind, amount in pairs(wants(other)) do ahead[kind] = ahead[kind] + amount end
  end
end
local level = field('level')
if level then
  local free = level - redis.call('ZCARD', KEYS[4])
  if ahead.requests >= free then
    return wait(math.min(200 + 50 * (ahead.requests - free + 1), 3000), 'ramp', redis.call('HGET', KEYS[1], 'reason'))
  end
end
local longest, scarce = 0, ''
for _, kind in ipairs(kinds) do
  local limit, left, rate = bucket(kind)
  if limit then
    local short = ahead[kind] + math.min(mine[kind], limit) - left
    if short > 0 and short / rate > longest then longest, scarce = short / rate, kind end
  end
end
if longest > 0 then return wait(longest, 'budget', scarce) end

for _, kind in ipairs(kinds) do
  local limit, left = bucket(kind)
  if limit then fill(kind, left - mine[kind]) end
end
redis.call('ZREM', KEYS[2], me)
redis.call('ZREM', KEYS[3], me)
redis.call('ZADD', KEYS[4], now + ${LEASE_MS}, me)
if isProbe then redis.call('HSET', KEYS[5], 'probe', me, 'probeUntil', now + ${LEASE_MS}) end
keep()
return {'go', tostring(now), tostring(mine.input), tostring(mine.output)}
`);

/** A call is still under way. ARGV: member. */
export const RENEW = new RedisScript(`${COMMON}
redis.call('ZADD', KEYS[4], 'XX', now + ${LEASE_MS}, ARGV[1])
if redis.call('HGET', KEYS[5], 'probe') == ARGV[1] then
  redis.call('HSET', KEYS[5], 'probeUntil', now + ${LEASE_MS})
end
return 1
`);

/**
 * Gives up waiting, or waits elsewhere until it comes back: its place is kept for it. ARGV: member, milliseconds
 * until it comes back ('' when it does not).
 */
export const STEP_ASIDE = new RedisScript(`${COMMON}
if ARGV[2] == '' then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[3], ARGV[1])
else
  redis.call('ZADD', KEYS[3], 'XX', now + tonumber(ARGV[2]), ARGV[1])
end
return 1
`);

/**
 * What the headers of an answer tell. ARGV: for each kind its limit, what remains and the milliseconds until all of it
 * is there again, each '' when it is not told.
 */
export const LEARN = new RedisScript(`${COMMON}
for i, kind in ipairs(kinds) do
  local told = tonumber(ARGV[i * 3 - 2])
  local remaining = tonumber(ARGV[i * 3 - 1])
  local reset = tonumber(ARGV[i * 3])
  if told and told > 0 then
    local limit, left = bucket(kind)
    local isSet = redis.call('HGET', KEYS[1], kind .. ':source') == 'configured'
    if not (isSet and limit <= told) then
      redis.call('HSET', KEYS[1], kind .. ':limit', told, kind .. ':source', 'learnt')
      redis.call('HDEL', KEYS[1], kind .. ':rate')
      -- Times are told in whole seconds: a small rest says too little about the pace.
      if remaining and reset and reset >= 2000 and remaining < told * 0.95 then
        local rate = (told - remaining) / reset
        redis.call('HSET', KEYS[1], kind .. ':rate', math.max(told / 3600000, math.min(told / 1000, rate)))
      end
    end
    fill(kind, math.min(left or told, remaining or told, told))
  end
end
keep()
return 1
`);

/**
 * A call has ended. ARGV: member, how (ok, limited, failed, refused, void), when it began, for how long the provider asks
 * to wait ('' when it does not say), a reason, the tokens sent and received ('' when nobody knows), what was taken of
 * input and output, and whether the model has too much to do ('1'), which is not a limit of our own.
 */
export const LEAVE = new RedisScript(`${COMMON}
local me, how, began, reason = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[5]
redis.call('ZREM', KEYS[4], me)

local used = {requests = how == 'void' and 0 or 1, input = tonumber(ARGV[6]), output = tonumber(ARGV[7])}
if used.input and used.output then
  used.tokens = used.input + used.output
  local taken = {requests = 1, input = tonumber(ARGV[8]), output = tonumber(ARGV[9])}
  taken.tokens = taken.input + taken.output
  for _, kind in ipairs(kinds) do
    local limit, left = bucket(kind)
    if limit then fill(kind, math.min(limit, left + taken[kind] - used[kind])) end
  end
  if how == 'ok' then
    redis.call('HSET', KEYS[1], 'usualOutput', (field('usualOutput') or used.output) * 0.8 + used.output * 0.2)
  end
end

if how == 'limited' then
  local paused = field('pausedUntil') or 0
  -- A call from before the pause tells nothing new, unless it asks for a longer one.
  local isNews = began >= paused
  local streak = field('streak') or 0
  if isNews then
    streak = streak + 1
    redis.call('HSET', KEYS[1], 'streak', streak)
    redis.call('HINCRBY', KEYS[1], 'pauses', 1)
  end
  local asked = tonumber(ARGV[4])
  if asked or isNews then
    local ms = asked or math.min(60000, ${FIRST_PAUSE_MS} * 2 ^ (streak - 1))
    if isNews or now + ms > paused then
      redis.call('HSET', KEYS[1], 'reason', reason, 'overloaded', ARGV[10])
    end
    paused = math.max(paused, now + ms)
  end
  redis.call('HSET', KEYS[1], 'pausedUntil', paused, 'level', ${PROBES}, 'rampFrom', paused)
elseif how == 'ok' then
  local level, from = field('level'), field('rampFrom') or 0
  if level and began >= from then
    if level + 1 >= ${RAMP_TOP} or now - from > 60000 then redis.call('HDEL', KEYS[1], 'level', 'rampFrom', 'streak')
    else redis.call('HSET', KEYS[1], 'level', level + 1) end
  end
end

local isOpen = redis.call('HGET', KEYS[5], 'state') == 'open'
local isProbe = redis.call('HGET', KEYS[5], 'probe') == me
if how == 'failed' and (isProbe or not isOpen) then
  local failures = redis.call('HINCRBY', KEYS[5], 'failures', 1)
  redis.call('HSET', KEYS[5], 'error', reason)
  if isProbe or failures >= ${BREAKER.failures} then
    local opens = redis.call('HINCRBY', KEYS[5], 'opens', 1)
    local ms = math.min(${BREAKER.mostMs}, ${BREAKER.openMs} * 2 ^ (opens - 1))
    redis.call('HSET', KEYS[5], 'state', 'open', 'until', now + ms)
  end
elseif how ~= 'failed' and how ~= 'void' and (isProbe or not isOpen) then
  redis.call('DEL', KEYS[5])
end
if isProbe then redis.call('HDEL', KEYS[5], 'probe', 'probeUntil') end
keep()
return 1
`);
