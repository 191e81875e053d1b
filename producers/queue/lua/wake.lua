-- Defines wake(), which wakes a shard. It is put in front of the scripts that call it.
--
-- If the shard has no wakeup yet, set it, and push the Celery message that makes a worker come.
-- Every "@" in the message becomes its unique id.
local function wake(prefix, queue, message, shard, unique, wakeup_ms, max_wakeups)
  if redis.call('SET', prefix .. shard .. ':wakeup', unique, 'NX', 'PX', wakeup_ms)
      and redis.call('LLEN', queue) < max_wakeups then
    redis.call('LPUSH', queue, (string.gsub(message, '@', unique .. '.' .. shard)))
  end
end
