-- Leave a shard.
-- 'if_empty' leaves only if nothing is unread or pending. Acknowledged entries are deleted, so an
--            empty stream says so. Lease and wakeup are deleted in the same step: a job appended
--            before is seen here, and one appended later finds no wakeup and wakes a worker.
-- 'wake'     leaves at any time and wakes a successor.
-- 'quiet'    leaves a shard that cannot be worked on now. Messages for other shards pass it over
--            for a moment.
-- Guarantees: changes nothing without the lease.
--
-- KEYS: none
-- ARGV: 1 key prefix, 2 shard, 3 lease token, 4 'if_empty', 'wake' or 'quiet', 5 Celery queue, 6
--       message, 7 wakeup lifetime in ms, 8 most messages in the Celery queue, 9 unique id, 10 ms
--       to pass the shard over
-- Returns: 'left', 'work' (something is left to do, the caller keeps the shard) or 'lost'

local base = ARGV[1] .. ARGV[2]
if redis.call('GET', base .. ':lease') ~= ARGV[3] then return 'lost' end
local length = redis.call('XLEN', base .. ':live') + redis.call('XLEN', base .. ':bulk')
if length > 0 and ARGV[4] == 'if_empty' then return 'work' end
redis.call('DEL', base .. ':lease')
if ARGV[4] == 'quiet' then
  redis.call('SET', base .. ':unable', '1', 'PX', ARGV[10])
  return 'left'
end
redis.call('DEL', base .. ':wakeup')
if ARGV[4] == 'wake' then
  redis.call('SET', base .. ':left', redis.call('TIME')[1], 'PX', 60000)
  wake(ARGV[1], ARGV[5], ARGV[6], ARGV[2], ARGV[9], ARGV[7], tonumber(ARGV[8]))
end
return 'left'
