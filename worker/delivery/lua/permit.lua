-- Permit one request: the lease is still the caller's and outlasts the request, the breaker is
-- closed, and the fleet's request budget has room. The budget is a token bucket that holds a
-- tenth of a second's requests.
-- Guarantees: no request starts without the lease, and the fleet stays below the rate. After a
-- 429 (slow_down.lua) the rate climbs back within twenty seconds. Batches and single requests
-- share the budget: singles leave part of the bucket to batches, and let one go first that waits.
-- A quarter of the budget is owed to singles, because the small batches of many shards could use
-- it up for good.
--
-- KEYS: none
-- ARGV: 1 key prefix, 2 shard, 3 lease token, 4 lease lifetime in ms, 5 requests per second,
--       6 'batch' or 'single', 7 endpoint family, 8 'probe' to pass an open breaker, or ''
-- Returns: {'go', 0}, {'wait', ms}, {'blocked', 0} if the breaker blocks, or {'lost', 0}

local base, budget = ARGV[1] .. ARGV[2], ARGV[1] .. 'budget'
if redis.call('GET', base .. ':lease') ~= ARGV[3] then return {'lost', 0} end
redis.call('PEXPIRE', base .. ':lease', ARGV[4])
if ARGV[8] ~= 'probe' then
  for _, breaker in ipairs({'breaker', 'breaker:' .. ARGV[7]}) do
    local state = redis.call('HGET', ARGV[1] .. breaker, 'state')
    if state and state ~= 'closed' then return {'blocked', 0} end
  end
end
local full = tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local have = redis.call('HMGET', budget, 'tokens', 'at', 'rate', 'owed', 'batch_at', 'single_at')
local at = tonumber(have[2] or now)
local passed = math.max(0, now - at)
local rate = math.min(full, tonumber(have[3] or full) + full * passed / 20)
local burst = math.max(1, rate / 10)
local tokens = math.min(burst, tonumber(have[1] or burst) + rate * passed)
local single, owed = ARGV[6] == 'single', math.min(1, tonumber(have[4] or 1) + rate * passed / 4)
local others_wait = now - tonumber(have[single and 5 or 6] or 0) < math.max(0.5, 2 / rate)
local need = 1
if single and owed < 1 then
  need = math.max(burst > 2 and 1 + burst / 4 or 1, others_wait and 2 or 1)
elseif not single and owed >= 1 and others_wait then
  need = 2
end
local answer, waiting_since = {'go', 0}, 0
if tokens >= need then
  tokens = tokens - 1
  if single then owed = math.max(0, owed - 1) end
else
  answer, waiting_since = {'wait', math.ceil((need - tokens) / rate * 1000)}, now
end
redis.call('HSET', budget, 'tokens', tostring(tokens), 'at', string.format('%.6f', now),
  'rate', tostring(rate), 'owed', tostring(owed),
  single and 'single_at' or 'batch_at', string.format('%.6f', waiting_since))
redis.call('PEXPIRE', budget, 60000)
return answer
