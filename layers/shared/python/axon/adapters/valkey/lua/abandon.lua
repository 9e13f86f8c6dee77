-- Start the resume window of responses of a closed connection: they are cancelled after it, unless
-- another connection resumes them. A window that runs already is not restarted.
-- KEYS: connection's responses, abandoned
-- ARGV: connection id, ms until the responses are cancelled, then ids of the connection's responses, a
--       bounded number
-- Returns nothing.
local due = now_ms() + ARGV[2]
for index = 3, #ARGV do
  local id = ARGV[index]
  if redis.call('HGET', 'axon:response:' .. id, 'connection_id') == ARGV[1] then
    redis.call('ZADD', KEYS[2], 'NX', due, id)
  else
    redis.call('SREM', KEYS[1], id)
  end
end
