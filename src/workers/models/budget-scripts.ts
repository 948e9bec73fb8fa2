/**
 * Reserves the worst case of a call, or says what stands in the way. Dollars are counted in millionths.
 * KEYS: account. ARGV: reservation id, tokens, dollars, token limit ('' for none), dollar limit ('' for none).
 * A reservation of the same id that was never settled belongs to a worker that was killed: nobody knows what the
 * call cost, so its worst case is counted as spent.
 */
export const RESERVE = `
local open = redis.call('HGET', KEYS[1], 'open:' .. ARGV[1])
if open then
  local t, d = string.match(open, '^(%d+) (%d+)$')
  redis.call('HINCRBY', KEYS[1], 'reservedTokens', 0 - tonumber(t))
  redis.call('HINCRBY', KEYS[1], 'reservedMicros', 0 - tonumber(d))
  redis.call('HINCRBY', KEYS[1], 'spentTokens', t)
  redis.call('HINCRBY', KEYS[1], 'spentMicros', d)
  redis.call('HINCRBY', KEYS[1], 'unknownCalls', 1)
  redis.call('HDEL', KEYS[1], 'open:' .. ARGV[1])
end
local function sum(a, b)
  return tonumber(redis.call('HGET', KEYS[1], a) or '0') + tonumber(redis.call('HGET', KEYS[1], b) or '0')
end
local tokens, micros = sum('spentTokens', 'reservedTokens'), sum('spentMicros', 'reservedMicros')
if ARGV[4] ~= '' and tokens + tonumber(ARGV[2]) > tonumber(ARGV[4]) then return {'tokens', tostring(tokens)} end
if ARGV[5] ~= '' and micros + tonumber(ARGV[3]) > tonumber(ARGV[5]) then return {'usd', tostring(micros)} end
redis.call('HSET', KEYS[1], 'open:' .. ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
redis.call('HINCRBY', KEYS[1], 'reservedTokens', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'reservedMicros', ARGV[3])
return {'ok', ''}
`;

/**
 * Settles a reservation with what was really used. KEYS: account.
 * ARGV: reservation id, tokens, dollars ('' when unknown), '1' when simulated; 'worst' for tokens keeps the worst case.
 */
export const SETTLE = `
local open = redis.call('HGET', KEYS[1], 'open:' .. ARGV[1])
if not open then return 0 end
local t, d = string.match(open, '^(%d+) (%d+)$')
redis.call('HDEL', KEYS[1], 'open:' .. ARGV[1])
redis.call('HINCRBY', KEYS[1], 'reservedTokens', 0 - tonumber(t))
redis.call('HINCRBY', KEYS[1], 'reservedMicros', 0 - tonumber(d))
local worst = ARGV[2] == 'worst'
redis.call('HINCRBY', KEYS[1], 'spentTokens', worst and t or ARGV[2])
if worst then
  redis.call('HINCRBY', KEYS[1], 'spentMicros', d)
  redis.call('HINCRBY', KEYS[1], 'unknownCalls', 1)
elseif ARGV[3] == '' then
  redis.call('HINCRBY', KEYS[1], 'unpricedCalls', 1)
else
  redis.call('HINCRBY', KEYS[1], 'spentMicros', ARGV[3])
end
if ARGV[4] == '1' then redis.call('HINCRBY', KEYS[1], 'simulatedCalls', 1) end
redis.call('HINCRBY', KEYS[1], 'calls', 1)
return 1
`;
