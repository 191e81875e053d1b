-- Take or renew the lease of an outbox.
-- Guarantees: one relay has it at a time. A relay that does not renew it is replaced.
--
-- KEYS: 1 lease
-- ARGV: 1 token of this relay, 2 lifetime in ms
-- Returns: 'others' if another relay has it, 'renewed', or 'taken'

local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 'others' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return holder and 'renewed' or 'taken'
