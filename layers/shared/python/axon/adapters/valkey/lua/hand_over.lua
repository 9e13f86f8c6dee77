-- Publish a job to the first worker of an order that has room and is connected; add it to that
-- worker's load. A repeated call publishes nothing and returns the same. The caller's own load
-- includes the job.
-- KEYS: workers, the job's entry of the worker that it was handed over to, the workers in order
-- ARGV: caller's worker id, received job, largest ratio of a load to the mean ('' for any),
--       seconds to keep the entry, the workers' ids in order
-- Returns the id of the worker that has the job now.
local workers, handed_over = KEYS[1], KEYS[2]
local own, job, factor = ARGV[1], ARGV[2], tonumber(ARGV[3])
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
    -- The caller's load may not include this job yet: its update may still be under way.
    loads[index] = id == own and math.max(load - 1, 0) or load
    -- The caller has a slot for the job, because it has received it.
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
    if redis.call('PUBLISH', 'axon:worker:' .. id, now .. '\n' .. job) > 0 then
      redis.call('HINCRBY', KEYS[index - 2], 'load', 1)
      redis.call('SET', handed_over, id, 'EX', ARGV[4])
      return id
    end
  end
end
return own
