-- Keep ids of jobs that an earlier server of this queue acknowledged, for a worker to look for.
-- With them stands the highest id of an entry in any stream: once every entry up to it has left its
-- stream, the stores know all those jobs, and what they do not know is lost.
--
-- KEYS: none
-- ARGV:
--    1  prefix of all keys
--    2  most elements in the list
--    3  seconds that the list is kept
--    4  ids of jobs, separated by commas
--
-- Returns 1 if they were kept, 0 if there is no queue, or the list is full.
local prefix, list = ARGV[1], ARGV[1] .. 'acknowledged'
local shards = tonumber(redis.call('HGET', prefix .. 'config', 'shards') or 0)
if shards == 0 or redis.call('LLEN', list) >= tonumber(ARGV[2]) then return 0 end
local latest = 0
for shard = 0, shards - 1 do
  for _, lane in ipairs({':live', ':bulk'}) do
    local last = redis.call('XREVRANGE', prefix .. shard .. lane, '+', '-', 'COUNT', 1)[1]
    if last then latest = math.max(latest, tonumber(string.match(last[1], '^%d+'))) end
  end
end
redis.call('RPUSH', list, string.format('%.0f', latest) .. ':' .. ARGV[4])
redis.call('EXPIRE', list, ARGV[3])
return 1
