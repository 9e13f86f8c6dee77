-- Take the next epoch, which fences off every earlier attempt; append event 1 when the log holds
-- event 0 alone. Or take a claim again that the server has lost.
-- KEYS: response, events
-- ARGV: response id, in_progress event or '',
--       nonce of this claim, by which a repeated call is recognized and changes nothing,
--       id of the SQS message that carried the job or '', generation,
--       the epoch of the lost claim or '', the nonce of the claim before it, id of the worker or '',
--       numbers of the next event and journal record at the time of the lost claim, its forks or ''
-- Returns the result, the epoch, the numbers of the next event and journal record, the nonce of the
-- claim before, 1 if the client may have received events that the log does not hold, else 0, what
-- `count_attempt` returns, the lane, the order in it and the response before, and the forks so far.
local response, events = unpack(KEYS)
local meta = redis.call('HMGET', response, 'status', 'next_sequence', 'connection_id', 'relay_id',
  'claim', 'epoch', 'checkpoint', 'next_record', 'generation', 'checkpoint_generation', 'forks',
  'claimed_after', 'checkpoint_us', 'lane', 'order', 'before')
if not meta[1] then
  return { 'missing' }
end
if meta[1] ~= 'queued' and meta[1] ~= 'in_progress' then
  return { 'fenced' }
end
if unreadable(response) then
  return { 'unreadable' }
end
local generation = ARGV[5]
local following, following_record = tonumber(meta[2]), tonumber(meta[8] or '0')
meta[10] = generation_of_checkpoint(meta[10], meta[13])
local received = delivered(meta[7], meta[10], generation)
-- The log is complete if its holder has appended in this generation, or if the client's relay says
-- in this generation that the client has no more than the log.
local unsure = not is_current(meta[9], generation) and not (received and received <= following)
if meta[5] == ARGV[3] then
  local attempts, died_alone = counted_attempt(response)
  return { 'claimed', tonumber(meta[6]), following, following_record, meta[12] or '',
    unsure and 1 or 0, attempts, died_alone, meta[14] or '', meta[15] or '0', meta[16] or '', meta[11] or '' }
end
if ARGV[6] ~= '' then
  -- The server has lost the claim if it shows the one before: then nobody has claimed since. Any
  -- other one came later, and its attempt does not know of the events that were lost.
  -- So did what the attempt before has appended since the loss, unaware that it was fenced.
  if (meta[5] or '') ~= ARGV[7] or tonumber(meta[6]) >= tonumber(ARGV[6])
    or following > tonumber(ARGV[9]) or following_record > tonumber(ARGV[10]) then
    return { 'fenced' }
  end
  redis.call('HSET', response, 'epoch', ARGV[6], 'claim', ARGV[3], 'claimed_after', ARGV[7],
    'message_id', ARGV[4])
  -- Its fork is lost with it. Without it, a reader or relay that has other events from there on would go on.
  keep_forks(response, meta[3], ARGV[11] or '')
  return { 'claimed' }
end
local attempts, died_alone = 1, 0
if ARGV[4] ~= '' then
  local logged = following + following_record
  local appended = (ARGV[2] ~= '' and following == 1) and 1 or 0
  attempts, died_alone = count_attempt(response, logged, logged + appended, ARGV[4])
end
-- Two claimants get two epochs, and the later one keeps the response. The message's id tells the other
-- one whether its own message brings the later attempt, or a duplicate of the job does.
local epoch = redis.call('HINCRBY', response, 'epoch', 1)
local first = ARGV[2] ~= '' and following == 1
redis.call('HSET', response, 'claim', ARGV[3], 'claimed_after', meta[5] or '', 'message_id', ARGV[4],
  'worker_id', ARGV[8], 'progress', progress_mark(epoch, first and 2 or following, now_ms()))
local forks = meta[11] or ''
if not is_current(meta[9], generation) then
  -- From here on the log may differ from what was delivered before the loss: a relay or follower
  -- that is further ahead, and has not compared itself with this generation yet, must not go on.
  -- Also where the relay has confirmed that its client has no more: a follower may be ahead of it.
  local fork = ' ' .. following .. ':' .. generation
  if string.sub(forks, -#fork) ~= fork then
    forks = forks .. fork
  end
  keep_forks(response, meta[3], forks)
end
if first then
  redis.call('XADD', events, '2-0', 'e', ARGV[2])
  redis.call('HSET', response, 'status', 'in_progress', 'next_sequence', 2)
  publish_events(response, meta[4], grantable(meta[7], meta[10], generation), ARGV[1], meta[3], 1,
    false, ARGV[2])
  following = 2
end
return { 'claimed', epoch, following, following_record, meta[5] or '', unsure and 1 or 0, attempts,
  died_alone, meta[14] or '', meta[15] or '0', meta[16] or '', forks }
