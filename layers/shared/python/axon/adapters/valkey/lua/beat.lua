-- Show that a worker is alive, and keep the list of the messages that it holds.
-- KEYS: beats, the worker's held messages, times of the beats
-- ARGV: incarnation, how many beats it has made, version of the list before this call ('' to replace the
--       list), version after it, seconds to keep the list, how many receipt handles were removed, then
--       these, then each added message's receipt handle and id
-- Returns 'kept', or 'stale' if the stored list is not the one of the version before.
local beats, held, times = unpack(KEYS)
-- The worker counts, not Valkey: its value is a new one also after Valkey has lost the last one, or a
-- peer that took this worker for dead has replaced it.
redis.call('HSET', beats, ARGV[1], ARGV[2])
redis.call('EXPIRE', beats, 3600)
-- Peers read only the values of workers that have not beaten for a second.
redis.call('ZADD', times, now_ms(), ARGV[1])
redis.call('EXPIRE', times, 3600)
local version = redis.call('HGET', held, ':version') or '0'
local removed = tonumber(ARGV[6])
-- A repeated call finds its own version and changes nothing. A list that a failover has set back has
-- another version: the worker, which knows what it holds, replaces it.
if version ~= ARGV[4] then
  if ARGV[3] == '' then
    redis.call('DEL', held)
  elseif version ~= ARGV[3] then
    return 'stale'
  end
  if removed > 0 then
    redis.call('HDEL', held, unpack(ARGV, 7, 6 + removed))
  end
  if #ARGV > 6 + removed then
    redis.call('HSET', held, unpack(ARGV, 7 + removed))
  end
  redis.call('HSET', held, ':version', ARGV[4])
end
redis.call('EXPIRE', held, ARGV[5])
return 'kept'
