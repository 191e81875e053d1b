-- Read new entries, or those that an earlier holder left pending, and extend lease and wakeup.
-- Guarantees: reads nothing without the lease. Stops before it exceeds the wanted number of jobs
-- (one job more could mean one request more), and soon after it reaches the wanted number of
-- bytes. An entry that keeps coming back may crash its workers. So the more often the first
-- pending entry was delivered, the fewer entries come with it, until it comes alone.
--
-- KEYS: none
-- ARGV: 1 key prefix, 2 shard, 3 lease token, 4 lease lifetime in ms, 5 wakeup lifetime in ms, 6
--       lane, 7 jobs wanted, 8 bytes wanted, 9 most jobs in one entry, 10 'new' or 'pending', 11
--       consumer group, 12 consumer
-- Returns: {'lost'}, or {'ok', earlier deliveries of the first entry, then four values for each
--          entry: its id, its format, its jobs, their number}. The answer is flat because nested
--          ones take long to parse. An entry of an unknown shape has format nil, and its fields
--          in place of the jobs; the fields are nil if somebody deleted the entry.

local base = ARGV[1] .. ARGV[2]
if redis.call('GET', base .. ':lease') ~= ARGV[3] then return {'lost'} end
redis.call('PEXPIRE', base .. ':lease', ARGV[4])
redis.call('PEXPIRE', base .. ':wakeup', ARGV[5])
local stream, wanted = base .. ':' .. ARGV[6], tonumber(ARGV[7])
local enough, most = tonumber(ARGV[8]), tonumber(ARGV[9])
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
  -- Read a few first: their size says how many more there is room for.
  local room = entries_read == 0 and 20 or (enough - bytes) * entries_read / math.max(1, bytes)
  local count = math.min(100, math.max(1, math.floor(math.min(room, (wanted - jobs) / most))))
  local read = redis.call(
    'XREADGROUP', 'GROUP', ARGV[11], ARGV[12], 'COUNT', count, 'STREAMS', stream, from)
  local entries = read and read[1][2] or {}
  for _, entry in ipairs(entries) do
    local fields, holds = entry[2], 1
    local known = fields and #fields >= 4 and fields[1] == 'v' and fields[3] == 'j'
    if known and #fields > 4 then
      -- At most three digits: tonumber() also takes inf, nan, 1e308 and hexadecimal numbers, which
      -- no answer and no counter can hold.
      local digits = #fields == 6 and fields[5] == 'n' and string.match(fields[6], '^%d%d?%d?$')
      holds = tonumber(digits or 0)
      known = holds >= 1
    end
    answer[at + 1], answer[at + 2] = entry[1], known and fields[2]
    answer[at + 3] = known and fields[4] or fields
    answer[at + 4] = known and holds or 1
    at, jobs = at + 4, jobs + answer[at + 4]
    if known then
      bytes = bytes + #fields[4]
    else
      for _, value in ipairs(fields or {}) do bytes = bytes + #value end
    end
    entries_read = entries_read + 1
    if from ~= '>' then from = entry[1] end
  end
until #entries < count or jobs + most > wanted or bytes >= enough
return answer
