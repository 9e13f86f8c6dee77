-- Evict the stored turns that were not used for the longest time: the database has them. A turn whose
-- history record is still on its way stays, because nobody else has it.
-- KEYS: index of stored turns by their last use
-- ARGV: how many at most, ms for which a turn is not evicted after its last use
-- Returns how many were evicted, and how many entries of the index were looked at.
local evicted = 0
local unused = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_ms() - ARGV[2], 'LIMIT', 0, ARGV[1])
for _, id in ipairs(unused) do
  local turn = 'axon:turn:' .. id
  if redis.call('EXISTS', 'axon:history:pending:' .. id) == 1 then
    -- Looked at again when its turn comes once more, so that it does not stop the others.
    redis.call('ZADD', KEYS[1], now_ms(), id)
  else
    redis.call('ZREM', KEYS[1], id)
    local content = redis.call('HMGET', turn, 'tenant_id', 'previous')
    if content[2] then  -- else a marker of a deleted response
      redis.call('UNLINK', turn)
      if content[1] then  -- else the version before has written it
        release(cache_of(content[1]), 'turn:' .. id)
      end
      evicted = evicted + 1
    end
  end
end
return { evicted, #unused }
