-- Append events and journal records behind the fence of epoch and claim; publish the events. A repeated
-- append changes nothing.
-- KEYS: response, events, journal, deadlines, abandoned
-- ARGV: response id, epoch, status, seconds to keep the log and what is known of the response after
--       the end, seconds to keep a log that does not end, first event's sequence number, how many
--       events, first journal record's number, the claim's nonce or '', the nonce of the claim before
--       it, generation, 1 if the log lacks nothing more after these events, else 0, then each event and
--       its token ids, then each record's kind, data and the number of the event that it follows
-- Returns the result, the id of the connection to which the response is delivered and, after 'gap',
-- the numbers of the next event and journal record.
-- Bytes of an ended response beside the content of its events: the first node of its Stream (4 KB), the hash
-- without its job, entries in indexes. Then of a journal's first node, and of an entry beside its content.
local ENDED_BYTES, JOURNAL_BYTES, ENTRY_BYTES = 6144, 4096, 40
local response, events, journal, deadlines, abandoned = unpack(KEYS)
local meta = redis.call('HMGET', response, 'status', 'epoch', 'next_sequence', 'connection_id',
  'relay_id', 'checkpoint', 'next_record', 'claim', 'generation', 'checkpoint_generation',
  'checkpoint_us', 'move_at_ms', 'message_id', 'resends', 'bytes')
if not meta[1] then
  return { 'missing' }
end
meta[10] = generation_of_checkpoint(meta[10], meta[11])
-- The fence. A later claim has a higher epoch, and its attempt continues from what the log held
-- then: one more event of an older attempt would be one that its successor does not know of.
-- After a loss two attempts can get the same epoch; the nonces tell them apart.
local nonce, generation = ARGV[10], ARGV[12]
if meta[2] ~= ARGV[2] or nonce ~= '' and meta[8] and meta[8] ~= nonce then
  -- The server shows the claim before this one: it has lost this one, and nobody has claimed since.
  local lost = nonce ~= '' and (meta[8] or '') == ARGV[11] and tonumber(meta[2]) < tonumber(ARGV[2])
  return { lost and 'unclaimed' or 'fenced' }
end
local first, count = tonumber(ARGV[7]), tonumber(ARGV[8])
local first_record, records = tonumber(ARGV[9]), (#ARGV - 13 - 2 * count) / 3
local following, following_record = tonumber(meta[3]), tonumber(meta[7] or '0')
-- The numbers are in the log already: the caller has not received its first answer. Events and records
-- of one append are in the log together or not at all. This stands before the test for the end, because
-- the terminal event is repeated, too. The contents are compared, because an attempt of the version
-- before has no nonce: it may have the same epoch after a loss, and other events and records.
if count > 0 and following >= first + count
  or count == 0 and following_record >= first_record + records then
  local held = redis.call('XRANGE', events, (first + 1) .. '-0', (first + count) .. '-0')
  for _, entry in ipairs(held) do
    local index = tonumber(string.match(entry[1], '%d+')) - first
    if entry[2][2] ~= ARGV[12 + 2 * index] then
      return { 'conflict' }
    end
  end
  held = records > 0 and redis.call('XRANGE', journal, (first_record + 1) .. '-0',
    (first_record + records) .. '-0') or {}
  for _, entry in ipairs(held) do
    local at = 11 + 2 * count + 3 * (string.match(entry[1], '%d+') - first_record)
    local fields = entry[2]
    if fields[2] ~= ARGV[at] or fields[4] ~= ARGV[at + 1] or fields[6] ~= ARGV[at + 2] then
      return { 'conflict' }
    end
  end
  return { 'appended', meta[4] }
end
if meta[1] ~= 'queued' and meta[1] ~= 'in_progress' then
  return { 'fenced' }
end
local status = ARGV[3]
local terminal = status ~= 'in_progress'
if count > 0 and following ~= first
  or records > 0 and (following_record ~= first_record
    or count == 0 and following <= tonumber(ARGV[#ARGV])) then
  -- The server has lost appends of this attempt, which appends them again. One gap may stay: a failure
  -- gets the number that the client expects next, though the events before it are lost for good. Who
  -- completes an answer holds all its events.
  local from_outside = status == 'failed' or status == 'cancelled'
  if not (from_outside and count == 1 and records == 0 and first > following
      and delivered(meta[6], meta[10], generation) == first) then
    return { 'gap', meta[4], following, following_record }
  end
end
local now = now_ms()
-- A running sum of what the log holds, in calls that are made anyhow. A log that was opened by the version
-- before or restored has none: it keeps counting as `open` expected it.
local bytes = meta[15] or ''
if bytes ~= '' then
  bytes = bytes + ENTRY_BYTES * (count + records)
  for index = 14, #ARGV do
    bytes = bytes + #ARGV[index]
  end
end
if records > 0 then
  for index = 1, records do
    local at = 11 + 2 * count + 3 * index
    redis.call('XADD', journal, (first_record + index) .. '-0', 'k', ARGV[at], 'd', ARGV[at + 1],
      'a', ARGV[at + 2])
  end
  redis.call('HSET', response, 'next_record', first_record + records)
  -- The journal must not expire before the events: an attempt that finds fewer events or records
  -- than the claim says can continue from neither.
  redis.call('EXPIRE', journal, ARGV[6])
end
if count == 0 then
  redis.call('HSET', response, 'progress', progress_mark(meta[2], following, now),
    'bytes', bytes)
  move_deadline(response, deadlines, ARGV[1], meta[12], now, ARGV[6])
  return { 'appended', meta[4] }
end
local lines = {}
for index = 1, count do
  local event, tokens = ARGV[12 + 2 * index], ARGV[13 + 2 * index]
  local id = (first + index) .. '-0'
  if tokens == '' then
    redis.call('XADD', events, id, 'e', event)
  else
    redis.call('XADD', events, id, 'e', event, 't', tokens)
  end
  lines[index] = event
end
redis.call('HSET', response, 'status', status, 'next_sequence', first + count, 'progress',
  progress_mark(meta[2], first + count, now), 'bytes', bytes)
if meta[9] ~= generation and generation ~= '' and ARGV[13] == '1' then
  -- Its holder has appended all that came before, so the log is complete in this generation, too.
  redis.call('HSET', response, 'generation', generation)
end
if terminal then
  -- Without its job, nobody claims it again; out of the indexes, nobody ends it a second time.
  redis.call('HDEL', response, 'job')
  redis.call('ZREM', deadlines, ARGV[1])
  -- It counts for its tenant until its events expire, and is forgotten at the tenant's next request; from
  -- now on by its size, which for most answers is a small part of what `open` has expected. What `open` did
  -- not count is not counted here either: Valkey had no limit then, or a failover has lost the count.
  if bytes ~= '' then
    bytes = bytes + ENDED_BYTES + (following_record + records > 0 and JOURNAL_BYTES or 0)
  end
  local expires, holders = now + ARGV[4] * 1000, redis.call('HMGET', response, 'tenant_id', 'requested_on')
  for _, owner in ipairs(log_owners(holders[1], holders[2])) do
    local index = held_keys(owner)
    if redis.call('ZADD', index, 'XX', 'CH', expires, ARGV[1]) == 1 and bytes ~= '' then
      hold(owner, ARGV[1], bytes, expires)
    end
  end
  redis.call('ZREM', abandoned, ARGV[1])
  redis.call('SREM', 'axon:connection:' .. meta[4] .. ':responses', ARGV[1])
  -- What has ended must be known as long as its job may come again: if it was ended from outside, or its
  -- job was sent twice, a message of it may still wait in the queue.
  redis.call('EXPIRE', response, (meta[13] == '' or meta[14]) and ARGV[6] or ARGV[5])
  redis.call('EXPIRE', events, ARGV[4])
  redis.call('EXPIRE', journal, ARGV[4])
else
  move_deadline(response, deadlines, ARGV[1], meta[12], now, ARGV[6])
end
publish_events(response, meta[5], grantable(meta[6], meta[10], generation), ARGV[1], meta[4], first,
  terminal, table.concat(lines, '\n'))
return { 'appended', meta[4] }
