-- Publish a job to the first worker in order that has room and listens, and count it there.
-- Repeated, it publishes nothing and tells the same. The caller has the job in its own load.
-- KEYS: workers, whom this job was handed over to, the workers in order
-- ARGV: own id, delivery, how far above the mean a load may be ('' for any), seconds to remember,
--       the workers' ids in order
-- Returns whose the job is now.
local workers, handed_over = KEYS[1], KEYS[2]
local own, delivery, factor = ARGV[1], ARGV[2], tonumber(ARGV[3])
local before = redis.call('GET', handed_over)
if before then
  return before
end
local now = now_ms()
local loads, slots, total, nodes = {}, {}, 1, 0
for index = 5, #ARGV do
  local id = ARGV[index]
  if id == own or tonumber(redis.call('ZSCORE', workers, id) or '0') >= now then
    local told = redis.call('HMGET', KEYS[index - 2], 'load', 'slots')
    local load = tonumber(told[1] or '0')
    -- Its note of this very job may be on its way.
    loads[index] = id == own and math.max(load - 1, 0) or load
    -- Who has received it has a slot for it.
    slots[index] = (id == own or not factor) and math.huge or tonumber(told[2] or '0')
    total, nodes = total + loads[index], nodes + 1
  end
end
local most = factor and math.ceil(factor * total / nodes) or math.huge
for index = 5, #ARGV do
  local id, load = ARGV[index], loads[index]
  if load and load + 1 <= math.min(most, slots[index]) then
    if id == own then
      return own
    end
    if redis.call('PUBLISH', 'axon:worker:' .. id, now .. '\n' .. delivery) > 0 then
      redis.call('HINCRBY', KEYS[index - 2], 'load', 1)
      redis.call('SET', handed_over, id, 'EX', ARGV[4])
      return id
    end
  end
end
return own
