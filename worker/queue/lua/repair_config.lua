-- Give the queue the number of shards and the format that Postgres knows.
-- Guarantees: nothing changes while a stream has an entry or a worker holds a shard, if the
-- configuration has changed since it was read, or while a command changes the number of shards.
--
-- KEYS: 1 configuration, 2 the state of a change of the queue
-- ARGV: 1 key prefix, 2 generation and 3 shards as they were read, 4 new shards, 5 new format,
--       6 the state in which the stores are known to differ
-- Returns: 1 if the configuration was changed, else 0

local config = redis.call('HMGET', KEYS[1], 'generation', 'shards')
if config[1] ~= ARGV[2] or config[2] ~= ARGV[3] then return 0 end
local moving = redis.call('GET', KEYS[2])
if moving and moving ~= ARGV[6] then return 0 end
for shard = 0, math.max(tonumber(ARGV[3]), tonumber(ARGV[4])) - 1 do
  local base = ARGV[1] .. shard
  if redis.call('EXISTS', base .. ':lease') == 1 then return 0 end
  if redis.call('XLEN', base .. ':live') + redis.call('XLEN', base .. ':bulk') > 0 then return 0 end
end
redis.call('HSET', KEYS[1], 'shards', ARGV[4], 'format', ARGV[5])
return 1
