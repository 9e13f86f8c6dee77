-- Delete unstored turns of a connection: all when it is gone, or one that is evicted.
-- KEYS: connection
-- ARGV: the turns' response ids, a bounded number
-- Returns nothing.
local tenant = redis.call('HGET', KEYS[1], 'tenant_id')
for _, id in ipairs(ARGV) do
  redis.call('UNLINK', 'axon:turn:' .. id)
  release(KEYS[1], 'turn:' .. id)
  if tenant then
    release(tenant_of(tenant), 'turn:' .. id)
  end
end
