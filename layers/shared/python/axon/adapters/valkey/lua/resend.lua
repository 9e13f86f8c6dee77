-- Return 1 if the job of a response that waits is to be sent again now, and note that it is.
-- At once for the first repeated request, since who made the first one may have died before it sent the
-- job; then only after a pause that doubles with each time.
-- KEYS: response
-- ARGV: id of this call, by which a repeated one is recognized, ms of the first pause
local meta = redis.call('HMGET', KEYS[1], 'status', 'epoch', 'resends', 'resend_at_ms', 'resend')
if meta[1] ~= 'queued' or meta[2] ~= '0' then
  return 0
end
if meta[5] == ARGV[1] then
  return 1
end
local now, sent = now_ms(), tonumber(meta[3] or '0')
if now < tonumber(meta[4] or '0') then
  return 0
end
redis.call('HSET', KEYS[1], 'resends', sent + 1, 'resend_at_ms', now + ARGV[2] * 2 ^ sent, 'resend', ARGV[1])
return 1
