-- Return 1 if a response is past its deadline or has ended, 0 if it is not, -1 if it is not in the log.
-- KEYS: response, deadlines, models last seen, models served since, workers
-- ARGV: response id, ms without a registration after which a model counts as unserved,
--       deadlines of a response that has none of its own
local now = now_ms()
local score = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or tostring(now))
local meta = due_fields(KEYS[1], score, ARGV[3])
if not meta then
  return -1
end
if meta.status ~= 'queued' and meta.status ~= 'in_progress' then
  return 1
end
return due_at(now, meta, KEYS[3], KEYS[4], KEYS[5], tonumber(ARGV[2]), ARGV[3]) <= now and 1 or 0
