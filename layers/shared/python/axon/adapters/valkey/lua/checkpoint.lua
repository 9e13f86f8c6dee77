-- Write how far a client has received, if this relay still delivers the response to this connection.
-- KEYS: response, abandoned
-- ARGV: response id, relay id, connection id, number of the first event that has not certainly
--       arrived, knowledge of the events from it on ('' none was posted, '=' and none will be, '?' some
--       may have arrived), the relay's time of the call in us
local meta = redis.call('HMGET', KEYS[1], 'relay_id', 'connection_id', 'checkpoint', 'checkpoint_us')
if not meta[1] then
  return 'missing'
end
local following = tonumber(string.match(meta[3] or '0', '%d+'))
-- The fence of relays. One that was stopped, and whose deliveries were taken over or resumed elsewhere
-- meanwhile, is refused here before it posts anything. Nor may it go back behind what another call has
-- written: its successor may have posted from there on.
if meta[1] ~= ARGV[2] or meta[2] ~= ARGV[3] or tonumber(ARGV[4]) < following then
  return 'moved'
end
-- The relay may have sent this call before it received the grant. To take the grant back would let a
-- successor believe that nothing was posted, while the relay posts what it was granted. A closed
-- checkpoint does take it back: the relay writes it when it will post nothing more.
local granted = ARGV[5] == '' and meta[3] == ARGV[4] .. '!'
-- A client repeats calls whose answer it has not received. One that its own repetition has overtaken
-- comes later but was sent earlier: it must not undo newer knowledge.
if tonumber(meta[4] or '0') < tonumber(ARGV[6]) then
  if not granted then
    redis.call('HSET', KEYS[1], 'checkpoint', ARGV[4] .. ARGV[5], 'checkpoint_us', ARGV[6])
  end
  -- A response that is being delivered is not abandoned.
  redis.call('ZREM', KEYS[2], ARGV[1])
end
return 'marked'
