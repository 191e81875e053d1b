-- Adds counts of calls to an hour's hash.
--
-- KEYS: 1  the hash, 2  the counter of all hours
-- ARGV:
--    1  seconds that the hash is kept
--    2  most fields in the hash
--   then for each count: its field, the field to use if there are too many, the number
local all = 0
for i = 3, #ARGV, 3 do
  local field = ARGV[i]
  if redis.call('HEXISTS', KEYS[1], field) == 0
      and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[2]) then
    field = ARGV[i + 1]
  end
  redis.call('HINCRBY', KEYS[1], field, ARGV[i + 2])
  all = all + ARGV[i + 2]
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('INCRBY', KEYS[2], all)
