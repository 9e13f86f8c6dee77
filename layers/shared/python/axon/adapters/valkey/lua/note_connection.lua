-- Note that an API key has a connection open, and return what is known of the key. Writes nothing for a
-- connection that is known: a request must not need memory for this.
-- KEYS: connection, key's state, key's connections, revoked keys
-- ARGV: key id, connection id, seconds that a connection can live
-- Returns the key's state: 'valid', 'revoked' or '' (unknown).
local EXPIRED = 8
local connection, state_key, open, revoked = unpack(KEYS)
local state = redis.call('GET', state_key) or ''
-- A message of a connection that has been closed meanwhile.
if redis.call('HEXISTS', connection, 'gone') == 1 or redis.call('ZSCORE', open, ARGV[2]) then
  return state
end
local now = now_ms()
-- Those whose `$disconnect` never came. More than one at a time, so that they cannot become many.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', open, '(0', now, 'LIMIT', 0, EXPIRED)) do
  redis.call('ZREM', open, id)
end
redis.call('ZADD', open, now + ARGV[3] * 1000, ARGV[2])
redis.call('EXPIRE', open, ARGV[3])
if state == 'revoked' then
  -- The relays may have closed all its connections already, and look for them no more.
  redis.call('ZADD', revoked, 'NX', now, ARGV[1])
  redis.call('EXPIRE', revoked, ARGV[3])
end
return state
