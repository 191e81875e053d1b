-- Wake a shard that nobody holds, even if a wakeup exists: its message may be lost.
--
-- KEYS: none
-- ARGV: 1 key prefix, 2 shard, 3 Celery queue, 4 message, 5 wakeup lifetime in ms, 6 most
--       messages in the Celery queue, 7 unique id
-- Returns: 1 if nobody holds the shard, else 0

local base = ARGV[1] .. ARGV[2]
if redis.call('EXISTS', base .. ':lease') == 1 then return 0 end
redis.call('DEL', base .. ':wakeup')
wake(ARGV[1], ARGV[3], ARGV[4], ARGV[2], ARGV[7], ARGV[5], tonumber(ARGV[6]))
return 1
