-- Acknowledge and delete entries, and reduce the count of the jobs that they hold beyond one
-- each.
-- Guarantees: an entry that is already gone is not subtracted again. Runs inside the transaction
-- that acknowledges the read.
--
-- KEYS: 1 stream, 2 number of jobs that its entries hold beyond one each
-- ARGV: 1 consumer group, then for each entry: its id, its number of jobs

local fewer = 0
for i = 2, #ARGV, 2 do
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
  if redis.call('XDEL', KEYS[1], ARGV[i]) == 1 then fewer = fewer + ARGV[i + 1] - 1 end
end
-- An entry that was not appended by our script may have claimed more than was ever counted.
if fewer > 0 and redis.call('DECRBY', KEYS[2], fewer) < 0 then redis.call('DEL', KEYS[2]) end
