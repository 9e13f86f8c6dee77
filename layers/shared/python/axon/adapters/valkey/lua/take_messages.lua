-- Take over messages of a dead worker, some at a time. They stay in its list until the successor has
-- released them: if the successor dies, too, its peers take them in turn.
-- KEYS: beats, the dead worker's held messages, times of the beats
-- ARGV: the dead worker's incarnation, its value as the successor saw it stand still, its value from
--       now on, how many messages at most, then the receipt handles that were released meanwhile
-- Returns receipt handle and id of each message; nothing once none is left, or if the value is another
-- one: the worker is alive, or a peer was faster.
local beats, held, times = unpack(KEYS)
local value = redis.call('HGET', beats, ARGV[1])
-- The second comparison lets the same call be repeated.
if value ~= ARGV[2] and value ~= ARGV[3] then
  return {}
end
if #ARGV > 4 then
  redis.call('HDEL', held, unpack(ARGV, 5))
end
-- Any of them, and one more for the version: the work does not grow with what the worker held.
local fields, taken = redis.call('HRANDFIELD', held, ARGV[4] + 1, 'WITHVALUES'), {}
for index = 1, #fields, 2 do
  if fields[index] ~= ':version' and #taken < 2 * ARGV[4] then
    taken[#taken + 1] = fields[index]
    taken[#taken + 1] = fields[index + 1]
  end
end
if #taken == 0 then
  redis.call('HDEL', beats, ARGV[1])
  redis.call('ZREM', times, ARGV[1])
  redis.call('DEL', held)
  return {}
end
redis.call('HSET', beats, ARGV[1], ARGV[3])
-- Its peers look at it again only if the successor does not go on.
redis.call('ZADD', times, now_ms(), ARGV[1])
return taken
