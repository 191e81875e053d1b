-- Claim a shard's lease while the number of shards is being changed: workers may not claim it then.
-- Guarantees: at most one claim or lease exists.
--
-- KEYS: none
-- ARGV: 1 key prefix, 2 shard, 3 claim id, 4 lifetime in ms
-- Returns: 1 claimed, 0 not

return redis.call('SET', ARGV[1] .. ARGV[2] .. ':lease', ARGV[3], 'NX', 'PX', ARGV[4]) and 1 or 0
