-- Delete unstored turns of a connection: all when it is gone, or one that is evicted.
-- KEYS: connection
-- ARGV: the turns' response ids, a bounded number
-- Returns nothing.
local known = redis.call('HGET', KEYS[1], 'tenant_id')
for _, id in ipairs(ARGV) do
  local turn = 'axon:turn:' .. id
  -- The connection's hash lacks its tenant if it was opened while Valkey was away.
  local tenant = redis.call('HGET', turn, 'tenant_id') or known
  redis.call('UNLINK', turn)
  release(KEYS[1], 'turn:' .. id)
  if tenant then
    release(tenant_of(tenant), 'turn:' .. id)
  end
end
