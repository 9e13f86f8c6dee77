-- Write a note of the attempt that holds the claim, for the claim that follows it.
-- KEYS: response
-- ARGV: epoch of the claim, note (AttemptNote), incarnation of the worker that runs the attempt
-- Returns 'noted', 'missing' or 'fenced'.
local response, note = KEYS[1], ARGV[2]
local epoch = redis.call('HGET', response, 'epoch')
if not epoch then
  return 'missing'
end
if epoch ~= ARGV[1] then
  return 'fenced'
end
if note == 'released' then
  -- The next claim does not count this one: a number would be taken twice by a repeated call.
  redis.call('HSET', response, 'attempts_released', ARGV[1], 'alone', '')
elseif note == 'alone' then
  redis.call('HSET', response, 'alone', ARGV[3])
elseif note == 'in_company' then
  -- Counts from now on, also if it was released while it waited for its turn.
  redis.call('HSET', response, 'alone', '', 'attempts_released', '')
else
  redis.call('HSET', response, 'alone', 'failed')
end
return 'noted'
