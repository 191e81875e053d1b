-- Give up a claim that did not become a lease.
-- Guarantees: only the caller's own claim is deleted. With a time, messages for other shards pass
-- this shard over for as long (choose_shard.lua): it cannot be worked on now, for example because
-- it is paused.
--
-- KEYS: none
-- ARGV: 1 key prefix, 2 shard, 3 claim id, 4 ms during which the shard is passed over, or 0

local lease = ARGV[1] .. ARGV[2] .. ':lease'
if redis.call('GET', lease) == ARGV[3] then redis.call('DEL', lease) end
if tonumber(ARGV[4]) > 0 then
  redis.call('SET', ARGV[1] .. ARGV[2] .. ':unable', '1', 'PX', ARGV[4])
end
