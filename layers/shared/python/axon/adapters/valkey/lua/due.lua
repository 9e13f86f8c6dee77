-- The one place that decides whether a response is overdue. docs/deadlines.md explains the rules.
local DUE_FIELDS = { 'status', 'epoch', 'next_sequence', 'next_record', 'progress', 'opened_ms', 'limit_ms',
  'model', 'deadlines', 'worker_id', 'tenant_id', 'requested_on' }

-- Return deadlines of a response in ms: without a worker, in the queue, without progress.
-- encoded: as `axon.deadlines.Deadlines` wrote it, or false for a response of the version before.
local function deadlines_of(encoded, default)
  local no_worker, queue, no_progress = string.match(encoded or default, '^(%d+) (%d+) (%d+)')
  return tonumber(no_worker), tonumber(queue), tonumber(no_progress)
end

-- Return since when workers serve a model, or false; and when one was last seen.
-- silence: ms without a registration after which no worker counts as serving the model.
local function served_since(now, model, last_seen, served, silence)
  -- The version before did not record the model. Its rule was: the time in the queue, worker or not.
  if not model then
    return 0, now
  end
  local seen = tonumber(redis.call('ZSCORE', last_seen, model) or '0')
  if seen < now - silence then
    return false, seen
  end
  return tonumber(redis.call('ZSCORE', served, model) or '0'), seen
end

-- Return when an attempt last made progress.
-- Each append and claim writes epoch, next sequence number and time. If epoch or number differ from the
-- hash's, the version before has claimed or appended since, without a time: that counts as progress now,
-- and is written down, so that standing still is noticed from here on.
local function progressed_at(now, meta)
  local epoch, following, at = string.match(meta.progress or '', '^(%d+) (%d+) (%d+)$')
  if epoch == meta.epoch and following == meta.next_sequence then
    return tonumber(at)
  end
  redis.call('HSET', meta.key, 'progress', meta.epoch .. ' ' .. meta.next_sequence .. ' ' .. now)
  return now
end

-- Return whether an attempt may be at work on a response: the worker of the latest claim lives, or is not
-- known, because the version before has claimed.
local function is_held(now, worker, workers)
  return not worker or worker == '' or tonumber(redis.call('ZSCORE', workers, worker) or '0') >= now
end

-- Return when the response is overdue, when to look again, and why it will be overdue.
-- Looking again is early enough: from `now` on, whatever happens (a worker comes, an attempt begins)
-- gives the response at least the time until the next look.
-- workers: key of the workers' leases; default: deadlines where the response has none of its own.
local function due_at(now, meta, last_seen, served, workers, silence, default)
  local no_worker, queue, no_progress = deadlines_of(meta.deadlines, default)
  local since, seen = served_since(now, meta.model, last_seen, served, silence)
  local begun = tonumber(meta.next_sequence) > 2 or tonumber(meta.next_record or '0') > 0
  local from = begun and progressed_at(now, meta) or tonumber(meta.opened_ms)
  local at, reason, pause = from + no_worker + queue, 'no_worker', begun and no_progress or queue
  if not since then
    at = math.min(at, math.max(from, seen) + no_worker)
  elseif begun and is_held(now, meta.worker_id, workers) then
    at, reason = math.min(at, math.max(from, since) + no_progress), 'no_progress'
  else
    -- Nobody holds it: it has not begun, or its worker is dead and its job is in the queue again.
    at, reason = math.min(at, math.max(from, since) + queue), 'queue'
  end
  local look = math.min(at, now + pause)
  local limit = tonumber(meta.limit_ms or '')
  if limit and limit <= at then
    -- Nothing was generated: there is nothing to hand out as an incomplete answer.
    at, reason = limit, begun and 'hard_limit' or reason
  end
  return at, limit and math.min(look, limit) or look, reason
end

-- Return the response's fields by name, or nil if it is not in the log.
-- looked_at: ms at which it was to be looked at; the version before wrote nothing else.
local function due_fields(key, looked_at, default)
  local values, meta = redis.call('HMGET', key, unpack(DUE_FIELDS)), { key = key }
  if not values[1] then
    return nil
  end
  for index, name in ipairs(DUE_FIELDS) do
    meta[name] = values[index]
  end
  if not meta.opened_ms then
    local _, queue = deadlines_of(meta.deadlines, default)
    meta.opened_ms = string.format('%.0f', looked_at - queue)
    redis.call('HSET', key, 'opened_ms', meta.opened_ms)
  end
  return meta
end

