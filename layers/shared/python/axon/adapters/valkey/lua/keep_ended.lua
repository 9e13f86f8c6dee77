-- Keep the logs of responses that have ended as long again: somebody is about to read them.
-- KEYS: none
-- ARGV: seconds to keep the events, and the other fields, then ids, a bounded number
-- Returns nothing.
local until_ms = now_ms() + ARGV[1] * 1000
for index = 3, #ARGV do
  local response = 'axon:response:' .. ARGV[index]
  local meta = redis.call('HMGET', response, 'status', 'tenant_id', 'requested_on')
  -- One that runs is kept by its deadline. A deleted one, which has no tenant, is not kept.
  if meta[1] and meta[1] ~= 'queued' and meta[1] ~= 'in_progress' and (meta[2] or '') ~= '' then
    redis.call('EXPIRE', response .. ':events', ARGV[1], 'GT')
    redis.call('EXPIRE', response .. ':journal', ARGV[1], 'GT')
    redis.call('EXPIRE', response, ARGV[2], 'GT')
    extend_held(ARGV[index], meta[2], meta[3], until_ms)
  end
end
