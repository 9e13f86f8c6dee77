-- Take the next epoch, which fences off every earlier attempt; append event 1 when the log holds
-- event 0 alone.
-- KEYS: response, events
-- ARGV: response id, in_progress event or '',
--       id of this claim, by which a repeated call is recognized and changes nothing,
--       id of the SQS message that carried the job or ''
-- Returns the result, the epoch, the numbers of the next event and journal record, and what
-- `count_attempt` returns.
local response, events = unpack(KEYS)
local meta = redis.call('HMGET', response, 'status', 'next_sequence', 'connection_id', 'relay_id',
  'claim', 'epoch', 'checkpoint', 'next_record')
if not meta[1] then
  return { 'missing' }
end
if meta[1] ~= 'queued' and meta[1] ~= 'in_progress' then
  return { 'fenced' }
end
if unreadable(response) then
  return { 'unreadable' }
end
local following, following_record = tonumber(meta[2]), tonumber(meta[8] or '0')
if meta[5] == ARGV[3] then
  return { 'claimed', tonumber(meta[6]), following, following_record, counted_attempt(response) }
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
redis.call('HSET', response, 'claim', ARGV[3], 'message_id', ARGV[4])
if ARGV[2] ~= '' and following == 1 then
  redis.call('XADD', events, '2-0', 'e', ARGV[2])
  redis.call('HSET', response, 'status', 'in_progress', 'next_sequence', 2)
  publish_events(response, meta[4], meta[7], ARGV[1], meta[3], 1, false, ARGV[2])
  following = 2
end
return { 'claimed', epoch, following, following_record, attempts, died_alone }
