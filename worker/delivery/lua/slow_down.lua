-- Halve the fleet's request rate and empty the bucket, after a 429.
--
-- KEYS: none
-- ARGV: 1 key prefix, 2 requests per second

local rate = tonumber(redis.call('HGET', ARGV[1] .. 'budget', 'rate') or ARGV[2])
local time = redis.call('TIME')
redis.call('HSET', ARGV[1] .. 'budget', 'rate', tostring(math.max(1, rate / 2)), 'tokens', '0',
  'at', string.format('%.6f', time[1] + time[2] / 1e6))
redis.call('PEXPIRE', ARGV[1] .. 'budget', 60000)
