-- Write the configuration of a queue that Redis has lost.
-- Guarantees: no worker takes a shard for the given time. The shard's earlier holder may still
-- wait for an answer from Customer.io, and Redis has lost its lease together with the queue.
--
-- KEYS: 1 configuration
-- ARGV: 1 key prefix, 2 generation, 3 format, 4 shards, 5 ms until a shard can be taken
-- Returns: 1 if the configuration was written, 0 if there is one

if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'format', ARGV[3], 'shards', ARGV[4])
for shard = 0, tonumber(ARGV[4]) - 1 do
  redis.call('SET', ARGV[1] .. shard .. ':lease', 'set up again', 'NX', 'PX', ARGV[5])
end
return 1
