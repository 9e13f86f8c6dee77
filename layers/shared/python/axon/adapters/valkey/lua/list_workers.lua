-- List the workers whose lease has not ended.
-- KEYS: workers
-- Returns id, slots, load and models of each.
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now_ms(), '+inf')) do
  local worker = redis.call('HMGET', 'axon:worker:' .. id, 'slots', 'load', 'models')
  if worker[1] then
    found[#found + 1] = { id, worker[1], worker[2], worker[3] }
  end
end
return found
