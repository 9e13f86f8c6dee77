-- Note how far a relay has posted, if the response is still delivered by it to this connection.
-- A relay that has slept may not go back. A call that is late, because its repetition has overtaken
-- it, changes nothing. Nor can a relay that has not heard of it yet take a grant back, unless it
-- seals the checkpoint. What somebody is told of, nobody has abandoned.
-- KEYS: response, abandoned
-- ARGV: response id, relay id, connection id, the number that follows what has surely arrived, what
--       is known of later ones ('' none was posted, '=' and none will be, '?' some may have arrived),
--       the relay's time of the call in us
local meta = redis.call('HMGET', KEYS[1], 'relay_id', 'connection_id', 'checkpoint', 'checkpoint_us')
if not meta[1] then
  return 'missing'
end
local following = tonumber(string.match(meta[3] or '0', '%d+'))
if meta[1] ~= ARGV[2] or meta[2] ~= ARGV[3] or tonumber(ARGV[4]) < following then
  return 'moved'
end
local granted = ARGV[5] == '' and meta[3] == ARGV[4] .. '!'
if tonumber(meta[4] or '0') < tonumber(ARGV[6]) then
  if not granted then
    redis.call('HSET', KEYS[1], 'checkpoint', ARGV[4] .. ARGV[5], 'checkpoint_us', ARGV[6])
  end
  redis.call('ZREM', KEYS[2], ARGV[1])
end
return 'marked'
