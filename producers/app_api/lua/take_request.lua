-- Take one request of the App API's budget, which all processes share: Customer.io allows ten
-- requests a second. A list holds the times of the latest requests, so that no window of time
-- has more than the limit, wherever it begins.
--
-- KEYS: 1 list of the times of the latest requests, in ms, newest first
--       2 key that exists while nothing may be sent, after a 429
-- ARGV: 1 how many requests a window may have, this one included; a background reader passes
--         fewer than the limit, and leaves the rest to others
--       2 length of the window in ms
-- Returns: 0 if the request may leave now, else the ms to wait before asking again

local paused = redis.call('PTTL', KEYS[2])
if paused > 0 then return paused end
local most, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
while true do
  local oldest = tonumber(redis.call('LINDEX', KEYS[1], -1) or now)
  -- A time after now: the server's clock was set back.
  if oldest + window > now and oldest <= now then break end
  if not redis.call('RPOP', KEYS[1]) then break end
end
if redis.call('LLEN', KEYS[1]) < most then
  redis.call('LPUSH', KEYS[1], string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[1], window * 2)
  return 0
end
return math.max(1, tonumber(redis.call('LINDEX', KEYS[1], most - 1)) + window - now)
