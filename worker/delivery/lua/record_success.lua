-- Record a request that delivered something ('delivered') or got a documented answer
-- ('answered'), or that the region endpoint accepts the credentials ('resumed'). Close the
-- breakers that this answer proves wrong.
-- Guarantees: the first success that Redis knows of also sets the time since which delivery is
-- possible, because Redis may have lost what it knew of an outage. A wait that the endpoint asked
-- for (Retry-After) is not cut short by a request that was already on its way.
--
-- KEYS: none
-- ARGV: 1 key prefix, 2 endpoint family or '', 3 'delivered', 'answered' or 'resumed', 4
--       operations delivered, 5 lifetime in ms of the count of this minute
-- Returns: 1 if a breaker was closed by this, else 0

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local names = {'breaker'}
if ARGV[2] ~= '' then names[2] = 'breaker:' .. ARGV[2] end
if ARGV[3] == 'delivered' then
  for _, name in ipairs(names) do redis.call('HSET', ARGV[1] .. name, 'last_success_ms', now) end
  redis.call('HSETNX', ARGV[1] .. names[#names], 'recovered_ms', now)
  local minute = ARGV[1] .. 'delivered:' .. math.floor(time[1] / 60)
  redis.call('INCRBY', minute, ARGV[4])
  redis.call('PEXPIRE', minute, ARGV[5])
end
local ended = 0
for _, name in ipairs(names) do
  local breaker = ARGV[1] .. name
  local state, failures, asked, until_ms = unpack(
    redis.call('HMGET', breaker, 'state', 'failures', 'asked_ms', 'until_ms'))
  if failures and failures ~= '0' then redis.call('HSET', breaker, 'failures', 0) end
  local alone_until = math.min(tonumber(asked or 0), tonumber(until_ms or 0))
  if state and state ~= 'closed' and now >= alone_until then
    redis.call('HSET', breaker, 'state', 'closed', 'reason', '', 'message', '', 'until_ms', 0,
      'words', '', 'recovered_ms', now)
    redis.call('DEL', ARGV[1] .. 'probe' .. string.sub(name, 8))
    ended = 1
  end
end
return ended
