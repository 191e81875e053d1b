-- Set a key that expires, if its value is one of the expected ones.
-- Guarantees: a change of the queue's number of shards cannot overwrite a state that another
-- command has written meanwhile.
--
-- KEYS: 1 the key
-- ARGV: 1 new value, 2 lifetime in ms, then the expected values; '' means that the key is missing
-- Returns: 1 if the key was set, else 0

local value = redis.call('GET', KEYS[1]) or ''
for i = 3, #ARGV do
  if value == ARGV[i] then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return 1
  end
end
return 0
