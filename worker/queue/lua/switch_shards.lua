-- Change the queue's number of shards in one step, while appending is closed.
-- Guarantees: refuses while a stream has an entry, and while a worker holds a shard: the backlog
-- jobs that it is sending are in no stream.
--
-- KEYS: 1 configuration, 2 the state of the change
-- ARGV: 1 key prefix, 2 present shards, 3 new shards
-- Returns: 'done', 'busy' if jobs or workers are in the way, or 'lost' if the state of the change
--          has expired or the number of shards has changed

if redis.call('GET', KEYS[2]) ~= 'closed' then return 'lost' end
if redis.call('HGET', KEYS[1], 'shards') ~= ARGV[2] then return 'lost' end
for shard = 0, tonumber(ARGV[2]) - 1 do
  local base = ARGV[1] .. shard
  if redis.call('EXISTS', base .. ':lease') == 1 then return 'busy' end
  if redis.call('XLEN', base .. ':live') + redis.call('XLEN', base .. ':bulk') > 0 then
    return 'busy'
  end
end
redis.call('HSET', KEYS[1], 'shards', ARGV[3])
redis.call('SET', KEYS[2], 'layout')
for shard = tonumber(ARGV[3]), tonumber(ARGV[2]) - 1 do
  local base = ARGV[1] .. shard
  redis.call('DEL', base .. ':live', base .. ':bulk', base .. ':bulk:more', base .. ':wakeup',
    base .. ':lease')
end
return 'done'
