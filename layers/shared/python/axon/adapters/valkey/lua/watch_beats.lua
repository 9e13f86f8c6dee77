-- Return the value of a worker, and of those workers that have not beaten for some time.
-- KEYS: beats, times of the beats
-- ARGV: the caller's incarnation, ms without a beat, how many workers at most
-- Returns incarnation and value of each, the longest silent first; then those whose last beat is later than
-- now: the clock was set back, or another server's was ahead. The caller decides by its own clock who is dead.
local beats, times = unpack(KEYS)
local now, most = now_ms(), tonumber(ARGV[3])
local silent = redis.call('ZRANGEBYSCORE', times, '-inf', now - ARGV[2], 'LIMIT', 0, most)
if #silent < most then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', times, '(' .. now, '+inf', 'LIMIT', 0, most - #silent)) do
    silent[#silent + 1] = id
  end
end
local told = { ARGV[1], redis.call('HGET', beats, ARGV[1]) or '' }
if #silent > 0 then
  local values = redis.call('HMGET', beats, unpack(silent))
  for index, id in ipairs(silent) do
    if not values[index] then
      redis.call('ZREM', times, id)
    elseif id ~= ARGV[1] then
      told[#told + 1] = id
      told[#told + 1] = values[index]
    end
  end
end
return told
