-- Read the state of the shared breaker and of each family's breaker. Take the token of a probe
-- that is due.
-- Guarantees: one probe at a time for each breaker. The token expires, so that a crash delays the
-- next probe and does not prevent it.
--
-- KEYS: none
-- ARGV: 1 key prefix, 2 unique token, or '' to take none, 3 lifetime of a token in ms, then for
--       each family: its name, and '1' if the token of its probe may be taken
-- Returns: {now in ms, then seven values for each breaker, the shared one first: phase, ms until
--          the next probe, reason, the answer that a halted endpoint repeats, key of the last
--          probe's job, ms of the last success, ms of the last recovery}. The answer is flat
--          because nested ones take long to parse.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {now}
for i = 2, #ARGV, 2 do
  local name = i == 2 and '' or ':' .. ARGV[i]
  local all = redis.call('HMGET', ARGV[1] .. 'breaker' .. name, 'state', 'until_ms', 'reason',
    'words', 'probe_key', 'last_success_ms', 'recovered_ms')
  local state, left = all[1] or 'closed', 0
  if state ~= 'closed' then
    left = tonumber(all[2] or 0) - now
    local may_probe = ARGV[2] ~= '' and (i == 2 or (ARGV[i + 1] == '1' and answer[2] == 'closed'))
    if left <= 0 and may_probe
        and redis.call('SET', ARGV[1] .. 'probe' .. name, ARGV[2], 'NX', 'PX', ARGV[3]) then
      state = 'probe'
    end
  end
  local at = #answer
  answer[at + 1], answer[at + 2], answer[at + 3] = state, left, all[3] or ''
  answer[at + 4], answer[at + 5] = all[4] or '', all[5] or ''
  answer[at + 6], answer[at + 7] = tonumber(all[6] or 0), tonumber(all[7] or 0)
end
return answer
