-- Send a periodic task to the workers, at most once in its interval for the whole fleet.
-- Guarantees: a Celery queue that no worker empties does not grow.
--
-- KEYS: none
-- ARGV: 1 key that exists for the interval, 2 Celery queue, 3 message, 4 interval in ms, 5 most
--       messages in the Celery queue, 6 unique id, which replaces each '@' in the message

if redis.call('LLEN', ARGV[2]) >= tonumber(ARGV[5]) then return end
if redis.call('SET', ARGV[1], '1', 'NX', 'PX', ARGV[4]) then
  redis.call('LPUSH', ARGV[2], (string.gsub(ARGV[3], '@', ARGV[6])))
end
