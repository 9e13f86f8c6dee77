-- Take responses that are due to be ended, and lease them to the caller: two callers never take the same
-- one while the lease runs. A response leaves the index when it has ended, so nothing is forgotten if the
-- caller dies.
-- KEYS: index, state of the sweeps, what this call has taken, models last seen, models served since,
--       workers
-- ARGV: 'deadline' or 'abandoned', how many entries at most, how many bytes at most, ms of the lease,
--       ms without a sweep after which Valkey or all relays were away, ms for which nothing is taken then,
--       ms without a registration after which a model counts as unserved, seconds to keep an open log,
--       deadlines of a response that has none of its own, generation
-- Returns 1 if there may be more, then id, reason and fields of each response taken.
local index, state, remembered, last_seen, served, workers = unpack(KEYS)
local kind, count, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local lease, away, grace, silence, keep = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]),
  tonumber(ARGV[7]), ARGV[8]
local now = now_ms()

-- Return id, reason and fields of each response taken.
local function answer(more, reasons)
  local taken = { more }
  for id, reason in string.gmatch(reasons, '(%S+) (%S+)') do
    taken[#taken + 1] = { id, reason, redis.call('HGETALL', 'axon:response:' .. id) }
  end
  return taken
end

-- The caller has not received its first answer, and those responses are leased to it.
local before = redis.call('GET', remembered)
if before then
  return answer(1, before)
end

-- While Valkey was away nobody could make progress or resume. All would be due at once now, though
-- their workers and clients come back within seconds. A failover may have undone resumptions: clients
-- must have the time to resume again.
local generation, swept = ARGV[10], redis.call('HMGET', state, 'swept', 'resumes', 'generation')
local resumes = tonumber(swept[2] or '0')
if swept[1] and now - swept[1] > away
  or kind == 'abandoned' and not is_current(swept[3], generation) then
  resumes = now + grace
end
redis.call('HSET', state, 'swept', now, 'resumes', resumes)
if generation ~= '' then
  redis.call('HSET', state, 'generation', generation)
end
if now < resumes then
  return { 0 }
end

-- Look at one entry; return the reason if its response is to be ended now.
local function look(id, score)
  local key = 'axon:response:' .. id
  local meta = due_fields(key, score, ARGV[9])
  if not meta or meta.status ~= 'queued' and meta.status ~= 'in_progress' then
    redis.call('ZREM', index, id)
    return nil
  end
  -- As long as it has not ended, its log must not expire: its end is made from it.
  redis.call('EXPIRE', key, keep, 'GT')
  redis.call('EXPIRE', key .. ':events', keep, 'GT')
  redis.call('EXPIRE', key .. ':journal', keep, 'GT')
  extend_held(id, meta.tenant_id, meta.requested_on, now + keep * 1000)
  if kind == 'abandoned' then
    redis.call('ZADD', index, now + lease, id)
    return kind
  end
  local at, again, reason = due_at(now, meta, last_seen, served, workers, silence, ARGV[9])
  redis.call('ZADD', index, at > now and again or now + lease, id)
  return at <= now and reason or nil
end

local due = redis.call('ZRANGEBYSCORE', index, '-inf', now, 'WITHSCORES', 'LIMIT', 0, count)
local more, taken, bytes = #due == 2 * count and 1 or 0, {}, 0
for position = 1, #due, 2 do
  local id = due[position]
  local reason = look(id, tonumber(due[position + 1]))
  if reason then
    taken[#taken + 1] = id .. ' ' .. reason
    bytes = bytes + #(redis.call('HGET', 'axon:response:' .. id, 'job') or '')
    -- Jobs may have 100 KB each. What is left stays due, and is taken by the next call.
    if bytes >= most then
      more = 1
      break
    end
  end
end
local reasons = table.concat(taken, ' ')
if #taken > 0 then
  redis.call('SET', remembered, reasons, 'PX', lease)
end
return answer(more, reasons)
