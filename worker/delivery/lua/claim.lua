-- Claim a shard's lease if nobody holds it. A claim becomes a lease only with a fence from
-- Postgres (take.lua).
-- Guarantees: at most one claim or lease exists; none exists for a queue that is not set up
-- (Redis may have lost it a moment ago, while an earlier holder still sends), for a shard that
-- does not exist any more, or while the number of shards is being changed.
--
-- KEYS: none
-- ARGV: 1 key prefix, 2 shard, 3 claim id, 4 lifetime in ms
-- Returns: 1 claimed, 0 not

local shards = redis.call('HGET', ARGV[1] .. 'config', 'shards')
if not shards or tonumber(ARGV[2]) >= tonumber(shards) then return 0 end
if redis.call('EXISTS', ARGV[1] .. 'moving') == 1 then return 0 end
return redis.call('SET', ARGV[1] .. ARGV[2] .. ':lease', ARGV[3], 'NX', 'PX', ARGV[4]) and 1 or 0
