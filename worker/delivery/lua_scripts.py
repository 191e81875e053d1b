"""What happens in Redis in one step. Every script that reads or renews first compares the holder's lease token."""

from __future__ import annotations

from trackrelay.queue.append import WAKE_LUA

#: The consumer group, and the one consumer in it: the next holder works off what an earlier one left pending.
GROUP = "trackrelay"
CONSUMER = "holder"

# Nobody holds a shard of a queue that is not set up: Redis may have lost it a moment ago, and an earlier holder may still be sending.
# Nor one while the number of shards is being changed, nor one that is no more. ARGV: prefix, shard, claim, milliseconds
CLAIM = """
local shards = redis.call('HGET', ARGV[1] .. 'config', 'shards')
if not shards or tonumber(ARGV[2]) >= tonumber(shards) then return 0 end
if redis.call('EXISTS', ARGV[1] .. 'moving') == 1 then return 0 end
return redis.call('SET', ARGV[1] .. ARGV[2] .. ':lease', ARGV[3], 'NX', 'PX', ARGV[4]) and 1 or 0
"""

# With milliseconds, the shard cannot be worked on for now (it is paused): no message for another shard is spent on it.
# ARGV: prefix, shard, claim, milliseconds or 0
DROP_CLAIM = """
local lease = ARGV[1] .. ARGV[2] .. ':lease'
if redis.call('GET', lease) == ARGV[3] then redis.call('DEL', lease) end
if tonumber(ARGV[4]) > 0 then redis.call('SET', ARGV[1] .. ARGV[2] .. ':unable', '1', 'PX', ARGV[4]) end
"""

# Turns a claim into a lease, once Postgres has given it a fence.
# Returns the queue's number of shards, or -1. ARGV: prefix, shard, claim, token, milliseconds, group
TAKE = """
local base = ARGV[1] .. ARGV[2]
if redis.call('GET', base .. ':lease') ~= ARGV[3] then return -1 end
redis.call('SET', base .. ':lease', ARGV[4], 'PX', ARGV[5])
for _, lane in ipairs({':live', ':bulk'}) do
  redis.pcall('XGROUP', 'CREATE', base .. lane, ARGV[6], '0', 'MKSTREAM')
end
return tonumber(redis.call('HGET', ARGV[1] .. 'config', 'shards') or 0)
"""

# Reads new entries, or those left pending, until they hold nearly as many jobs as wanted (one too many would be a request too many), or
# as many bytes; some at a time, so that it stops in time. An entry that keeps coming back may be what kills its workers: the more often
# the first one was handed out, the fewer come with it, until it is alone.
# Answers flatly, four values an entry, for nested answers take long to read: its id, its format, its jobs and how many they are. Of an
# entry of another shape the format is nil, and its fields stand in place of the jobs, or nil if somebody has deleted it.
# ARGV: prefix, shard, token, lease ms, wakeup ms, lane, jobs, bytes, most jobs an entry holds, 'new' or 'pending', group, consumer
READ = """
local base = ARGV[1] .. ARGV[2]
if redis.call('GET', base .. ':lease') ~= ARGV[3] then return {'lost'} end
redis.call('PEXPIRE', base .. ':lease', ARGV[4])
redis.call('PEXPIRE', base .. ':wakeup', ARGV[5])
local stream, wanted, enough, most = base .. ':' .. ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local from, deliveries = '>', 0
if ARGV[10] == 'pending' then
  local first = redis.call('XPENDING', stream, ARGV[11], '-', '+', 1)
  if #first == 0 then return {'ok', 0} end
  deliveries = first[1][4]
  wanted = math.max(1, math.floor(wanted / 4 ^ math.max(0, deliveries - 1)))
  from = '0'
end
local answer, at, jobs, bytes, entries_read = {'ok', deliveries}, 2, 0, 0, 0
repeat
  -- A few first: how large they are says how many more there is room for.
  local room = entries_read == 0 and 20 or (enough - bytes) * entries_read / math.max(1, bytes)
  local count = math.min(100, math.max(1, math.floor(math.min(room, (wanted - jobs) / most))))
  local read = redis.call('XREADGROUP', 'GROUP', ARGV[11], ARGV[12], 'COUNT', count, 'STREAMS', stream, from)
  local entries = read and read[1][2] or {}
  for _, entry in ipairs(entries) do
    local fields, holds = entry[2], 1
    local known = fields and #fields >= 4 and fields[1] == 'v' and fields[3] == 'j'
    if known and #fields > 4 then
      -- Up to three digits: tonumber() also takes inf, nan, 1e308 and hexadecimal, which no answer and no counter can hold.
      holds = #fields == 6 and fields[5] == 'n' and tonumber(string.match(fields[6], '^%d%d?%d?$')) or 0
      known = holds >= 1
    end
    answer[at + 1], answer[at + 2], answer[at + 3] = entry[1], known and fields[2], known and fields[4] or fields
    answer[at + 4] = known and holds or 1
    at, jobs = at + 4, jobs + answer[at + 4]
    if known then bytes = bytes + #fields[4] else for _, value in ipairs(fields or {}) do bytes = bytes + #value end end
    entries_read = entries_read + 1
    if from ~= '>' then from = entry[1] end
  end
until #entries < count or jobs + most > wanted or bytes >= enough
return answer
"""

# Acknowledges and deletes entries, and counts what they held no more. Run in one transaction with the rest of an acknowledgement.
# KEYS: stream, what it holds beyond its entries. ARGV: group, then for each entry its id and how many jobs it holds.
ACKNOWLEDGE = """
local fewer = 0
for i = 2, #ARGV, 2 do
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
  if redis.call('XDEL', KEYS[1], ARGV[i]) == 1 then fewer = fewer + ARGV[i + 1] - 1 end
end
-- An entry that was not appended by our script may have claimed more than was ever counted.
if fewer > 0 and redis.call('DECRBY', KEYS[2], fewer) < 0 then redis.call('DEL', KEYS[2]) end
"""

# Hands out jobs that were found due in the backlog, and counts that as the stream does for its entries: what keeps coming back may be
# what kills its workers. Returns how many of them, from the first on, how often the first had been handed out before, and the highest
# such count among them.
# ARGV: prefix, shard, token, lease ms, lane, milliseconds to remember, then their ids
HAND_OUT = """
local base, before = ARGV[1] .. ARGV[2], 6
if redis.call('GET', base .. ':lease') ~= ARGV[3] then return {-1, 0, 0} end
redis.call('PEXPIRE', base .. ':lease', ARGV[4])
local handed = base .. ':' .. ARGV[5] .. ':handed'
local deliveries = tonumber(redis.call('HGET', handed, ARGV[before + 1]) or 0)
local count = math.max(1, math.floor((#ARGV - before) / 4 ^ math.max(0, deliveries - 1)))
local highest = 0
for i = before + 1, before + count do highest = math.max(highest, redis.call('HINCRBY', handed, ARGV[i], 1) - 1) end
redis.call('PEXPIRE', handed, ARGV[6])
return {count, deliveries, highest}
"""

# Nothing unread and nothing pending (acknowledged entries are deleted, so: nothing there): lease and wakeup go together.
# Otherwise 'work' — or, if it must leave all the same, it wakes a successor. A shard that is left quietly could not be
# worked on: for a moment, no message for another shard is spent on it.
# ARGV: prefix, shard, token, 'go on' | 'wake' | 'quiet', queue, message, wakeup ms, max wakeups, unique, milliseconds
LEAVE = (
    WAKE_LUA
    + """
local base = ARGV[1] .. ARGV[2]
if redis.call('GET', base .. ':lease') ~= ARGV[3] then return 'lost' end
local length = redis.call('XLEN', base .. ':live') + redis.call('XLEN', base .. ':bulk')
if length > 0 and ARGV[4] == 'go on' then return 'work' end
redis.call('DEL', base .. ':lease')
if ARGV[4] == 'quiet' then
  redis.call('SET', base .. ':unable', '1', 'PX', ARGV[10])
  return 'left'
end
redis.call('DEL', base .. ':wakeup')
if ARGV[4] == 'wake' then
  redis.call('SET', base .. ':left', redis.call('TIME')[1], 'PX', 60000)
  wake(ARGV[1], ARGV[5], ARGV[6], ARGV[2], ARGV[9], ARGV[7], tonumber(ARGV[8]))
end
return 'left'
"""
)

# Which shard a message that names one is best spent on: of those that have work and no holder the one that was left the longest ago, or
# never. While there are fewer places than shards, messages pile up, and one shard's would be read again before another's is once.
# A shard that could not be worked on a moment ago (paused, halted for a newer format, failing) is passed over: it would stay the one
# that was left the longest ago, and take every message.
# ARGV: prefix, shard
FAIREST = """
local left = tonumber(redis.call('GET', ARGV[1] .. ARGV[2] .. ':left') or 0)
local fairest = tonumber(ARGV[2])
if left == 0 then return fairest end
for shard = 0, tonumber(redis.call('HGET', ARGV[1] .. 'config', 'shards') or 0) - 1 do
  local base = ARGV[1] .. shard
  if redis.call('EXISTS', base .. ':lease', base .. ':unable') == 0
      and redis.call('XLEN', base .. ':live') + redis.call('XLEN', base .. ':bulk') > 0 then
    local since = tonumber(redis.call('GET', base .. ':left') or 0)
    if since < left then fairest, left = shard, since end
  end
end
return fairest
"""

# Wakes a shard that nobody holds, even if a wakeup exists. ARGV: prefix, shard, queue, message, wakeup ms, max wakeups, unique
WAKE = (
    WAKE_LUA
    + """
local base = ARGV[1] .. ARGV[2]
if redis.call('EXISTS', base .. ':lease') == 1 then return 0 end
redis.call('DEL', base .. ':wakeup')
wake(ARGV[1], ARGV[3], ARGV[4], ARGV[2], ARGV[7], ARGV[5], tonumber(ARGV[6]))
return 1
"""
)

# One request's permission: the lease is still ours and outlasts the request, the breaker lets it pass, the budget has room.
# Singles leave part of the budget to batches, and let one go first that waits. But a quarter of it is theirs: many shards' small
# batches could use it up for good. After a 429 the rate climbs back in twenty seconds.
# ARGV: prefix, shard, token, lease ms, requests a second, 'batch' or 'single', endpoint family, 'probe' or ''
PERMIT = """
local base, budget = ARGV[1] .. ARGV[2], ARGV[1] .. 'budget'
if redis.call('GET', base .. ':lease') ~= ARGV[3] then return {'lost', 0} end
redis.call('PEXPIRE', base .. ':lease', ARGV[4])
if ARGV[8] ~= 'probe' then
  for _, breaker in ipairs({'breaker', 'breaker:' .. ARGV[7]}) do
    local state = redis.call('HGET', ARGV[1] .. breaker, 'state')
    if state and state ~= 'closed' then return {'closed', 0} end
  end
end
local full = tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local have = redis.call('HMGET', budget, 'tokens', 'at', 'rate', 'owed', 'batch_at', 'single_at')
local at = tonumber(have[2] or now)
local passed = math.max(0, now - at)
local rate = math.min(full, tonumber(have[3] or full) + full * passed / 20)
local burst = math.max(1, rate / 10)
local tokens = math.min(burst, tonumber(have[1] or burst) + rate * passed)
local single, owed = ARGV[6] == 'single', math.min(1, tonumber(have[4] or 1) + rate * passed / 4)
local others_wait = now - tonumber(have[single and 5 or 6] or 0) < math.max(0.5, 2 / rate)
local need = 1
if single and owed < 1 then need = math.max(burst > 2 and 1 + burst / 4 or 1, others_wait and 2 or 1)
elseif not single and owed >= 1 and others_wait then need = 2 end
local answer, waiting_since = {'go', 0}, 0
if tokens >= need then
  tokens = tokens - 1
  if single then owed = math.max(0, owed - 1) end
else
  answer, waiting_since = {'wait', math.ceil((need - tokens) / rate * 1000)}, now
end
redis.call('HSET', budget, 'tokens', tostring(tokens), 'at', string.format('%.6f', now), 'rate', tostring(rate),
  'owed', tostring(owed), single and 'single_at' or 'batch_at', string.format('%.6f', waiting_since))
redis.call('PEXPIRE', budget, 60000)
return answer
"""

# ARGV: prefix, requests a second
SLOW_DOWN = """
local rate = tonumber(redis.call('HGET', ARGV[1] .. 'budget', 'rate') or ARGV[2])
local time = redis.call('TIME')
redis.call('HSET', ARGV[1] .. 'budget', 'rate', tostring(math.max(1, rate / 2)), 'tokens', '0',
  'at', string.format('%.6f', time[1] + time[2] / 1e6))
redis.call('PEXPIRE', ARGV[1] .. 'budget', 60000)
"""

# A request of a family succeeded ('delivered') or was at least answered properly ('answered'), or the region endpoint agrees to the
# credentials ('resumed'). Ends what had stopped delivery, and returns whether anything had. The first success that Redis knows of is
# also the moment since which delivery is known to be possible: Redis may have lost what it knew of an outage.
# ARGV: prefix, family or '', 'delivered', 'answered' or 'resumed', operations, minute's key lifetime ms
SUCCESS = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local names = {'breaker'}
if ARGV[2] ~= '' then names[2] = 'breaker:' .. ARGV[2] end
if ARGV[3] == 'delivered' then
  for _, name in ipairs(names) do redis.call('HSET', ARGV[1] .. name, 'last_success_ms', now) end
  redis.call('HSETNX', ARGV[1] .. names[#names], 'recovered_ms', now)
  local minute = ARGV[1] .. 'delivered:' .. math.floor(time[1] / 60)
  redis.call('INCRBY', minute, ARGV[4])
  redis.call('PEXPIRE', minute, ARGV[5])
end
local ended = 0
for _, name in ipairs(names) do
  local breaker = ARGV[1] .. name
  local state, failures, asked, until_ms = unpack(redis.call('HMGET', breaker, 'state', 'failures', 'asked_ms', 'until_ms'))
  if failures and failures ~= '0' then redis.call('HSET', breaker, 'failures', 0) end
  -- A request that was on its way already when the endpoint asked to be left alone (Retry-After) does not end that.
  local alone_until = math.min(tonumber(asked or 0), tonumber(until_ms or 0))
  if state and state ~= 'closed' and now >= alone_until then
    redis.call('HSET', breaker, 'state', 'closed', 'reason', '', 'message', '', 'until_ms', 0, 'words', '', 'recovered_ms', now)
    redis.call('DEL', ARGV[1] .. 'probe' .. string.sub(name, 8))
    ended = 1
  end
end
return ended
"""

# A request failed in a way that is the endpoint's problem. After a few in a row, or at once if it asked for that, the breaker opens, for an
# exponentially growing time with full jitter, never shorter than Retry-After. Says when anything of the family succeeded last, and what
# time it is.
# ARGV: prefix, ':family' or '' for all of them, 'open' or 'halted' or 'count', threshold, jitter 0..1, base ms, cap ms, retry-after ms,
#       reason, message, words, 'probe' or ''
FAILURE = """
local breaker, probe = ARGV[1] .. 'breaker' .. ARGV[2], ARGV[1] .. 'probe' .. ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local old = redis.call('HMGET', breaker, 'state', 'until_ms', 'last_success_ms', 'since_ms', 'asked_ms')
local was_closed, probing = not old[1] or old[1] == 'closed', ARGV[12] == 'probe'
local last_success = tonumber(old[3] or 0)
local asked_ms = math.max(tonumber(old[5] or 0), now + math.floor(tonumber(ARGV[8])))
if ARGV[3] == 'open' then redis.call('HSET', breaker, 'asked_ms', asked_ms) end
-- Requests that were on their way together when the breaker opened say the same thing once: only the probe's failure makes the wait
-- grow. And an outage does not make forgotten why delivery is halted.
if not was_closed and ARGV[3] ~= 'halted' and (not probing or old[1] == 'halted') then
  local until_ms = math.max(tonumber(old[2] or 0), ARGV[3] == 'open' and asked_ms or 0, probing and now + tonumber(ARGV[7]) / 2 or 0)
  redis.call('HSET', breaker, 'until_ms', until_ms)
  if probing then redis.call('DEL', probe) end
  return {'open', last_success, math.max(0, until_ms - now), now}
end
local failures = redis.call('HINCRBY', breaker, 'failures', 1)
if was_closed and ARGV[3] == 'count' and failures < tonumber(ARGV[4]) then return {'closed', last_success, 0, now} end
local times = math.max(0, math.min(30, failures - (ARGV[3] == 'count' and tonumber(ARGV[4]) or 1)))
local wait = math.max(100, tonumber(ARGV[5]) * math.min(tonumber(ARGV[7]), tonumber(ARGV[6]) * 2 ^ times), tonumber(ARGV[8]))
local until_ms = math.max(tonumber(old[2] or 0), now + math.floor(wait))
local state = ARGV[3] == 'count' and 'open' or ARGV[3]
redis.call('HSET', breaker, 'state', state, 'until_ms', until_ms, 'reason', ARGV[9], 'message', ARGV[10], 'words', ARGV[11],
  'since_ms', was_closed and now or (old[4] or now))
redis.call('DEL', probe)
return {was_closed and 'opened' or 'open', last_success, until_ms - now, now}
"""

# The state of the breaker that all families share, then of each family's; and, where the time is up, the token of the one probe.
# Answers flatly: the time, then for each breaker its state, milliseconds left, reason, words, the last probe's key, when anything
# succeeded last, and when it recovered last.
# ARGV: prefix, unique or '', milliseconds a probe may take, then for each family its name and 1 if its probe may be taken
BREAKER_STATES = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {now}
for i = 2, #ARGV, 2 do
  local name = i == 2 and '' or ':' .. ARGV[i]
  local all = redis.call('HMGET', ARGV[1] .. 'breaker' .. name, 'state', 'until_ms', 'reason', 'words', 'probe_key',
    'last_success_ms', 'recovered_ms')
  local state, left = all[1] or 'closed', 0
  if state ~= 'closed' then
    left = tonumber(all[2] or 0) - now
    local may_probe = ARGV[2] ~= '' and (i == 2 or (ARGV[i + 1] == '1' and answer[2] == 'closed'))
    if left <= 0 and may_probe and redis.call('SET', ARGV[1] .. 'probe' .. name, ARGV[2], 'NX', 'PX', ARGV[3]) then state = 'probe' end
  end
  local at = #answer
  answer[at + 1], answer[at + 2], answer[at + 3], answer[at + 4] = state, left, all[3] or '', all[4] or ''
  answer[at + 5], answer[at + 6], answer[at + 7] = all[5] or '', tonumber(all[6] or 0), tonumber(all[7] or 0)
end
return answer
"""

# An operator wants every breaker that is not closed probed now, whatever the endpoint asked for. Returns the names of those breakers.
# ARGV: prefix, then the names of breakers: '' for the shared one, ':family' for the others
PROBE_NOW = """
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
"""
