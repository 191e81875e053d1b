-- Let nobody send a request to the App API for a while, after a 429. A longer pause stays.
--
-- KEYS: 1 key that exists while nothing may be sent
-- ARGV: 1 length of the pause in ms
-- Returns: the ms that are left of the pause

local pause = tonumber(ARGV[1])
local left = redis.call('PTTL', KEYS[1])
if left >= pause then return left end
redis.call('SET', KEYS[1], '1', 'PX', pause)
return pause
