-- The budget of a response's attempts. Fields of its hash: `attempts`, claims since the log last grew;
-- `attempts_logged`, events and journal records that the log held after the last counted claim;
-- `attempts_released`, the epoch of an attempt that has ended without a fault of its request; `alone`, the
-- worker on which the attempt runs alone, or 'failed'.
-- A worker of the version before writes none of them. Its attempts are not counted, and what they have
-- appended counts as progress.

-- Return whether a worker's registration has not expired; it has none in quarantine, or when it drains.
local function is_registered(worker)
  return worker and worker ~= ''
    and tonumber(redis.call('ZSCORE', 'axon:workers', worker) or '0') >= now_ms()
end

-- Count a claim by an attempt.
-- before, after: events and journal records that the log holds before and after the claim
-- message_id: of the SQS message that brings the attempt
-- Returns the attempts without progress, this one included, and 1 if the one before ran alone and died.
local function count_attempt(response, before, after, message_id)
  local kept = redis.call('HMGET', response, 'attempts', 'attempts_logged', 'attempts_released',
    'epoch', 'alone', 'message_id', 'worker_id')
  local attempts, alone, died = tonumber(kept[1] or '0'), kept[5] or '', 0
  if before > tonumber(kept[2] or '0') then
    attempts, alone = 0, ''
  elseif kept[3] == kept[4] or (kept[6] and kept[6] ~= message_id and is_registered(kept[7])) then
    -- The attempt before has ended without a fault; or this message is a duplicate of the job, which a client
    -- has sent again, and ends that attempt by its claim. A worker that has just died is still registered, but
    -- its message comes again, and counts.
    attempts = math.max(attempts - 1, 0)
  end
  if alone == 'failed' then
    died = 1
  elseif alone ~= '' and kept[6] == message_id then
    -- A late extension of the message brings a claim, too, while the worker lives and beats. A duplicate
    -- of the job comes with another message.
    local beat = redis.call('HGET', 'axon:workers:beats', alone)
    died = (not beat or string.sub(beat, 1, 6) == 'taken ') and 1 or 0
  end
  redis.call('HSET', response, 'attempts', attempts + 1, 'attempts_logged', after, 'alone',
    died == 1 and 'failed' or '')
  return attempts + 1, died
end

-- Return the same again for a repeated claim.
local function counted_attempt(response)
  local kept = redis.call('HMGET', response, 'attempts', 'alone')
  return tonumber(kept[1] or '1'), kept[2] == 'failed' and 1 or 0
end
