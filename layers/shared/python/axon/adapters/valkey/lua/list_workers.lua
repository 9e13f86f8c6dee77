-- List the workers whose lease has not ended.
-- KEYS: workers
-- Returns id, slots, load, models and format of each; the version before does not write the format.
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now_ms(), '+inf')) do
  local worker = redis.call('HMGET', 'axon:worker:' .. id, 'slots', 'load', 'models', 'format')
  if worker[1] then
    found[#found + 1] = { id, worker[1], worker[2], worker[3], worker[4] or '' }
  end
end
return found
