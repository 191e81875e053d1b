-- Make the next probe of every breaker that is not closed due now, whatever the endpoint asked
-- for.
--
-- KEYS: none
-- ARGV: 1 key prefix, then the breakers: '' for the shared one, ':family' for the others
-- Returns: the names of the breakers that were not closed

local found = {}
for i = 2, #ARGV do
  local breaker = ARGV[1] .. 'breaker' .. ARGV[i]
  local state = redis.call('HGET', breaker, 'state')
  if state and state ~= 'closed' then
    redis.call('HSET', breaker, 'until_ms', 0, 'asked_ms', 0)
    redis.call('DEL', ARGV[1] .. 'probe' .. ARGV[i])
    found[#found + 1] = ARGV[i]
  end
end
return found
