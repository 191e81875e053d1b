-- Record a request that failed because of the endpoint. Open the breaker after a few failures in
-- a row, or at once if the endpoint asked for it. It stays open for an exponentially growing time
-- with full jitter, and never for less than Retry-After.
-- Guarantees: requests that were on their way together when the breaker opened count once; only
-- the failure of the probe makes the wait grow. An outage does not hide why delivery is halted.
--
-- KEYS: none
-- ARGV: 1 key prefix, 2 ':family', or '' for the shared breaker, 3 'open', 'halted' or 'count', 4
--       failures in a row that open the breaker, 5 random number from 0 to 1, 6 first wait in ms,
--       7 longest wait in ms, 8 Retry-After in ms, 9 reason, 10 message, 11 the answer that a
--       halted endpoint repeats, 12 'probe' or ''
-- Returns: {'opened' (by this request), 'open' or 'closed', ms of the family's last success, ms
--          until the next probe, now in ms}

local breaker, probe = ARGV[1] .. 'breaker' .. ARGV[2], ARGV[1] .. 'probe' .. ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local old = redis.call(
  'HMGET', breaker, 'state', 'until_ms', 'last_success_ms', 'since_ms', 'asked_ms')
local was_closed, probing = not old[1] or old[1] == 'closed', ARGV[12] == 'probe'
local last_success = tonumber(old[3] or 0)
local asked_ms = math.max(tonumber(old[5] or 0), now + math.floor(tonumber(ARGV[8])))
if ARGV[3] == 'open' then redis.call('HSET', breaker, 'asked_ms', asked_ms) end
if not was_closed and ARGV[3] ~= 'halted' and (not probing or old[1] == 'halted') then
  local until_ms = math.max(tonumber(old[2] or 0), ARGV[3] == 'open' and asked_ms or 0,
    probing and now + tonumber(ARGV[7]) / 2 or 0)
  redis.call('HSET', breaker, 'until_ms', until_ms)
  if probing then redis.call('DEL', probe) end
  return {'open', last_success, math.max(0, until_ms - now), now}
end
local failures = redis.call('HINCRBY', breaker, 'failures', 1)
if was_closed and ARGV[3] == 'count' and failures < tonumber(ARGV[4]) then
  return {'closed', last_success, 0, now}
end
local times = math.max(0, math.min(30, failures - (ARGV[3] == 'count' and tonumber(ARGV[4]) or 1)))
local wait = math.max(100,
  tonumber(ARGV[5]) * math.min(tonumber(ARGV[7]), tonumber(ARGV[6]) * 2 ^ times), tonumber(ARGV[8]))
local until_ms = math.max(tonumber(old[2] or 0), now + math.floor(wait))
local state = ARGV[3] == 'count' and 'open' or ARGV[3]
redis.call('HSET', breaker, 'state', state, 'until_ms', until_ms, 'reason', ARGV[9],
  'message', ARGV[10], 'words', ARGV[11], 'since_ms', was_closed and now or (old[4] or now))
redis.call('DEL', probe)
return {was_closed and 'opened' or 'open', last_success, until_ms - now, now}
