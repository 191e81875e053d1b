-- Count the delivery of due backlog jobs, as the stream counts the deliveries of its entries, and
-- extend the lease.
-- Guarantees: counts nothing without the lease. Jobs that keep coming back may crash their
-- workers. So the more often the first one was delivered, the fewer jobs come with it, until it
-- comes alone.
--
-- KEYS: none
-- ARGV: 1 key prefix, 2 shard, 3 lease token, 4 lease lifetime in ms, 5 lane, 6 lifetime of the
--       counts in ms, then the ids of the jobs
-- Returns: {how many of the jobs, from the first on, the caller may process; -1 if the lease is
--          lost, earlier deliveries of the first job, the highest number of earlier deliveries
--          among them}

local base, before = ARGV[1] .. ARGV[2], 6
if redis.call('GET', base .. ':lease') ~= ARGV[3] then return {-1, 0, 0} end
redis.call('PEXPIRE', base .. ':lease', ARGV[4])
local handed = base .. ':' .. ARGV[5] .. ':handed'
local deliveries = tonumber(redis.call('HGET', handed, ARGV[before + 1]) or 0)
local count = math.max(1, math.floor((#ARGV - before) / 4 ^ math.max(0, deliveries - 1)))
local highest = 0
for i = before + 1, before + count do
  highest = math.max(highest, redis.call('HINCRBY', handed, ARGV[i], 1) - 1)
end
redis.call('PEXPIRE', handed, ARGV[6])
return {count, deliveries, highest}
