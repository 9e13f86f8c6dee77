-- Return the value of the field `progress`: what `due.lua` compares with a running response's deadline.
-- Each claim and append writes it, in a call that it makes anyhow; the entry in the index is moved much
-- more rarely.
local function progress_mark(epoch, following, now)
  return epoch .. ' ' .. following .. ' ' .. now
end

-- Move the entry of a running response in the index, and the expiry of its log, forward.
-- move_at: ms from which on it is to be moved, the response's field; false before the first output
-- keep: seconds to keep a log that does not end
local function move_deadline(response, deadlines, id, move_at, now, keep)
  if move_at and now < tonumber(move_at) then
    return
  end
  local own = redis.call('HMGET', response, 'deadlines', 'limit_ms', 'idempotency', 'tenant_id', 'requested_on')
  if not own[1] then
    return -- opened by the version before: the sweep looks at `progress` when the entry is due
  end
  local no_progress, moves = string.match(own[1], '^%d+ %d+ (%d+) (%d+)$')
  local at = now + no_progress
  redis.call('HSET', response, 'move_at_ms', now + moves)
  redis.call('ZADD', deadlines, own[2] and math.min(at, tonumber(own[2])) or at, id)
  for _, key in ipairs({ response, response .. ':events', response .. ':journal', own[3] or nil }) do
    redis.call('EXPIRE', key, keep, 'GT')
  end
  extend_held(id, own[4], own[5], now + keep * 1000)
end

