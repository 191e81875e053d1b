-- Delete a key if its value is one of the expected ones.
--
-- KEYS: 1 the key
-- ARGV: the expected values
-- Returns: 1 if the key was deleted, else 0

local value = redis.call('GET', KEYS[1])
for i = 1, #ARGV do
  if value == ARGV[i] then return redis.call('DEL', KEYS[1]) end
end
return 0
