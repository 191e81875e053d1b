-- Replace the queue's generation, unless another process has replaced it.
--
-- KEYS: 1 configuration
-- ARGV: 1 the generation to replace, 2 the new one

if redis.call('HGET', KEYS[1], 'generation') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'generation', ARGV[2])
end
