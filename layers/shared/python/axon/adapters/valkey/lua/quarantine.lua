-- Take, renew or return the permit for quarantine.
-- KEYS: permit
-- ARGV: its holder, ms for which it is kept, its holder from now on
-- Returns 1, or 0 if another holder has it.
local holder = redis.call('GET', KEYS[1])
-- The second comparison lets a return be repeated.
if holder and holder ~= ARGV[1] and holder ~= ARGV[3] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])
return 1
