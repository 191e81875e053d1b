-- Choose the shard to process for a message that names one: the shard that has work and no holder
-- and was left the longest ago, or never. With fewer workers than shards, messages pile up, and
-- one shard would be processed again before another is processed once. A shard that could not be
-- worked on a moment ago (paused, halted, failing) is passed over. It would stay the one that was
-- left the longest ago, and take every message.
--
-- KEYS: none
-- ARGV: 1 key prefix, 2 the shard that the message names
-- Returns: the shard to process

local left = tonumber(redis.call('GET', ARGV[1] .. ARGV[2] .. ':left') or 0)
local fairest = tonumber(ARGV[2])
if left == 0 then return fairest end
for shard = 0, tonumber(redis.call('HGET', ARGV[1] .. 'config', 'shards') or 0) - 1 do
  local base = ARGV[1] .. shard
  if redis.call('EXISTS', base .. ':lease', base .. ':unable') == 0
      and redis.call('XLEN', base .. ':live') + redis.call('XLEN', base .. ':bulk') > 0 then
    local since = tonumber(redis.call('GET', base .. ':left') or 0)
    if since < left then fairest, left = shard, since end
  end
end
return fairest
