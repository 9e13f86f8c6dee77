-- Write how far a client has received, if this relay still delivers the response to this connection.
-- KEYS: response, abandoned
-- ARGV: response id, relay id, connection id, number of the first event that has not certainly
--       arrived, knowledge of the events from it on ('' none was posted, '=' and none will be for now, '?'
--       some may have arrived), the number of this call among those of its process, the process's nonce,
--       generation, seconds to keep the events, and the other fields, of an ended response, the order of the
--       delivery in its lane or 0, missing from relays of the version before
-- Returns 'marked', 'missing', 'moved', or 'conflict': the client has received events that the log may
-- have with another content.
local meta = redis.call('HMGET', KEYS[1], 'relay_id', 'connection_id', 'checkpoint', 'checkpoint_us',
  'checkpoint_by', 'checkpoint_generation', 'forks', 'status', 'tenant_id', 'requested_on', 'order', 'resumption')
if not meta[1] then
  return 'missing'
end
local number, tail, call, process, generation = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[8]
-- The fence of relays. One that was stopped, and whose deliveries were taken over or resumed elsewhere
-- meanwhile, is refused here before it posts anything. Nor may it go back behind what another call has
-- written: its successor may have posted from there on.
-- The same relay may have it for another lane of the connection, to begin there again: a late call of the former
-- delivery would make that one begin where this one has stopped. Only a move counts: a log that was restored
-- may have another order.
local elsewhere = meta[12] and meta[11] and (ARGV[11] or '0') ~= '0' and meta[11] ~= ARGV[11]
if meta[1] ~= ARGV[2] or meta[2] ~= ARGV[3] or elsewhere
  or number < tonumber(string.match(meta[3] or '0', '%d+')) then
  return 'moved'
end
local confirmed = is_current(meta[6], generation)
if not confirmed then
  -- The first checkpoint of this generation. An attempt that did not hold the lost events may have
  -- continued before it: then the client must have nothing of what was lost.
  for fork in string.gmatch(meta[7] or '', '(%d+):') do
    if number > tonumber(fork) then
      return 'conflict'
    end
  end
end
-- The relay may have sent this call before it received the grant. To take the grant back would let a
-- successor believe that nothing was posted, while the relay posts what it was granted. A closed
-- checkpoint does take it back: the relay writes it when it will post nothing more. So does the first
-- checkpoint of a generation: the relay has dropped what it was granted in another one.
local granted = confirmed and tail == '' and meta[3] == ARGV[4] .. '!'
-- A client repeats calls whose answer it has not received. One that its own repetition has overtaken
-- comes later but was sent earlier: it must not undo newer knowledge. The process counts its calls;
-- the number of another process says nothing about this one's.
local last = meta[5] == process and tonumber(meta[4] or '0') or 0
if last < call then
  if not granted then
    redis.call('HSET', KEYS[1], 'checkpoint', ARGV[4] .. tail, 'checkpoint_us', call)
    if meta[5] ~= process then
      redis.call('HSET', KEYS[1], 'checkpoint_by', process)
    end
    -- In doubt says nothing yet: the post under way may be one of the generation before.
    if meta[6] ~= generation and generation ~= '' and tail ~= '?' then
      redis.call('HSET', KEYS[1], 'checkpoint_generation', generation)
    end
  end
  -- A response that is being delivered is not abandoned. But one that waits for its lane writes checkpoints
  -- without posting anything, also after its client has left: it must not take its abandonment back. Nor
  -- must a relay to which the version before has given a followed response: its readers alone keep that.
  if ARGV[3] ~= '' and redis.call('HEXISTS', 'axon:connection:' .. ARGV[3], 'gone') == 0 then
    redis.call('ZREM', KEYS[2], ARGV[1])
  end
  -- It may have ended long before its turn comes in its lane. A deleted one, which has no tenant, is not kept.
  if tail == '=' and meta[8] ~= 'queued' and meta[8] ~= 'in_progress' and (meta[9] or '') ~= '' then
    redis.call('EXPIRE', KEYS[1] .. ':events', ARGV[9], 'GT')
    redis.call('EXPIRE', KEYS[1] .. ':journal', ARGV[9], 'GT')
    redis.call('EXPIRE', KEYS[1], ARGV[10], 'GT')
    extend_held(ARGV[1], meta[9], meta[10], now_ms() + ARGV[9] * 1000)
  end
end
return 'marked'
