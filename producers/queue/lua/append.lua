-- Appends entries to the streams of their shards, all or none, and wakes those shards.
-- wake.lua comes first.
--
-- KEYS: none; every key begins with the prefix.
-- ARGV:
--    1  prefix of all keys
--    2  the Celery queue
--    3  format of the entries
--    4  number of shards that the caller assumes
--    5  most jobs in the queue
--    6  part of maxmemory above which nothing is accepted
--    7  milliseconds that a wakeup lasts
--    8  most messages in the Celery queue
--    9  lane
--   10  number of shards that get entries
--   11  generation that a relay knows; '' for other callers
--   12  number of the last append that a relay knows of
--   13  length at which bulk entries wait; '' for live entries
--   14  bytes from which a call is large
--   15  most refused operations that wait
--   16  most refused operations in a minute
--   then for each shard that gets entries: shard, Celery message
--   then for each entry: its shards ('0' or '0,3'), number of jobs, bytes
--   An entry without shards is a refused operation.
--
-- Returns {'ok'}, with the number of refused operations that were not kept, if there are any.
-- A relay gets {'ok', number of this append, place of each entry}.
-- Otherwise the first value names what is wrong: unmigrated, shards, format, moving, generation,
-- forgotten, full, bulk full or memory. Then nothing was appended.
local prefix, queue, format, shards, max_length = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local mark, wakeup_ms, max_wakeups = tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])
local lane, touched = ARGV[9], tonumber(ARGV[10])
local relaying, is_bulk = ARGV[11] ~= '', ARGV[13] ~= ''
local config = redis.call('HMGET', prefix .. 'config', 'shards', 'format')
if not config[1] then return {'unmigrated'} end
if config[1] ~= shards then return {'shards', config[1]} end
if config[2] ~= format then return {'format', config[2]} end
if redis.call('GET', prefix .. 'moving') == 'closed' then return {'moving'} end
if relaying then
  local generation = redis.call('HGET', prefix .. 'config', 'generation') or ''
  if generation ~= ARGV[11] then return {'generation', generation} end
  if tonumber(redis.call('GET', prefix .. 'relayed') or 0) < tonumber(ARGV[12]) then
    return {'forgotten'}
  end
end
local first_shard = 17
local first = first_shard + 2 * touched

-- Small calls use the length that was counted up to 100 ms ago. No Redis takes 100,000 entries in
-- that time. Large calls count each time: many of them would fill Redis within those 100 ms.
local room = prefix .. (is_bulk and 'room:bulk' or 'room')
local counted = tonumber(redis.call('GET', room) or '')
local bytes = 0
for i = first + 2, #ARGV, 3 do bytes = bytes + #ARGV[i] end
local is_large = bytes >= tonumber(ARGV[14])
local limit = is_bulk and tonumber(ARGV[13]) or max_length
if not counted or is_large or counted + 100000 > limit then
  local length = 0
  for shard = 0, tonumber(shards) - 1 do
    local bulk = prefix .. shard .. ':bulk'
    local entries = redis.call('XLEN', bulk)
    length = length + redis.call('XLEN', prefix .. shard .. ':live') + entries
    if entries > 0 then length = length + (redis.call('GET', bulk .. ':more') or 0) end
  end
  local wanted = length
  for i = first + 1, #ARGV, 3 do wanted = wanted + ARGV[i] end
  if is_bulk then
    if length >= limit then return {'bulk full', length, max_length} end
  elseif wanted > max_length then
    return {'full', wanted, max_length}
  end
  if not counted or is_large then
    local memory = redis.call('INFO', 'memory')
    local used = tonumber(string.match(memory, 'used_memory:(%d+)'))
    local maxmemory = tonumber(string.match(memory, 'maxmemory:(%d+)') or '0')
    if maxmemory > 0 and used + (is_large and bytes or 0) >= maxmemory * mark then
      return {'memory', used, maxmemory, is_bulk and 'bulk' or 'live'}
    end
    redis.call('SET', room, length, 'PX', 100)
  end
end

-- Limits refused operations, so that a mistake in an application fills neither Redis nor the dead
-- letters.
local function keep_refused(data)
  local minute = prefix .. 'invalid:' .. math.floor(redis.call('TIME')[1] / 60)
  if redis.call('XLEN', prefix .. 'invalid') >= tonumber(ARGV[15])
      or redis.call('INCR', minute) > tonumber(ARGV[16]) then
    return false
  end
  redis.call('EXPIRE', minute, 120)
  redis.call('XADD', prefix .. 'invalid', '*', 'v', format, 'j', data)
  return true
end

local unique
local answer = {'ok'}
if relaying then answer[2] = redis.call('INCR', prefix .. 'relayed') end
local streams, more, not_kept = {}, {}, 0
for i = first_shard, first - 1, 2 do
  local stream = prefix .. ARGV[i] .. ':' .. lane
  streams[ARGV[i]] = stream
  -- An operator may have emptied the stream by hand, and left its counter.
  if lane == 'bulk' and redis.call('XLEN', stream) == 0 then redis.call('DEL', stream .. ':more') end
end
for i = first, #ARGV, 3 do
  -- Nearly every entry is for one shard. Those find their stream without splitting a text.
  local stream = streams[ARGV[i]]
  if stream and ARGV[i + 1] ~= '1' then
    unique = redis.call('XADD', stream, '*', 'v', format, 'j', ARGV[i + 2], 'n', ARGV[i + 1])
    more[stream] = (more[stream] or 0) + ARGV[i + 1] - 1
  elseif stream and not relaying then
    unique = redis.call('XADD', stream, '*', 'v', format, 'j', ARGV[i + 2])
  elseif ARGV[i] == '' then
    if not keep_refused(ARGV[i + 2]) then not_kept = not_kept + 1 end
  else
    local place = ''
    for shard in string.gmatch(ARGV[i], '%d+') do
      unique = redis.call('XADD', streams[shard], '*', 'v', format, 'j', ARGV[i + 2])
      place = place .. shard .. ':' .. unique .. ' '
    end
    if relaying then answer[#answer + 1] = place end
  end
end
for stream, jobs in pairs(more) do redis.call('INCRBY', stream .. ':more', jobs) end
for i = first_shard, first - 1, 2 do
  wake(prefix, queue, ARGV[i + 1], ARGV[i], unique, wakeup_ms, max_wakeups)
end
if not_kept > 0 then answer[2] = not_kept end
return answer
