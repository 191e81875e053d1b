-- Turn a claim into a lease, once Postgres has given it a fence, and create the consumer groups.
-- Guarantees: fails if the claim expired meanwhile. Groups start at id 0, so that no entry is
-- skipped.
--
-- KEYS: none
-- ARGV: 1 key prefix, 2 shard, 3 claim id, 4 lease token, 5 lease lifetime in ms, 6 consumer
--       group
-- Returns: the queue's number of shards, or -1 if the claim is gone

local base = ARGV[1] .. ARGV[2]
if redis.call('GET', base .. ':lease') ~= ARGV[3] then return -1 end
redis.call('SET', base .. ':lease', ARGV[4], 'PX', ARGV[5])
for _, lane in ipairs({':live', ':bulk'}) do
  redis.pcall('XGROUP', 'CREATE', base .. lane, ARGV[6], '0', 'MKSTREAM')
end
return tonumber(redis.call('HGET', ARGV[1] .. 'config', 'shards') or 0)
