-- Start the resume window of responses of a closed connection: they are cancelled after it, unless
-- another connection resumes them. A window that runs already is not restarted. Where the client has
-- asked for that, the window is empty: the next sweep cancels them.
-- KEYS: connection's responses, abandoned, connection
-- ARGV: connection id, ms until the responses are cancelled, then ids of the connection's responses, a
--       bounded number
-- Returns nothing.
local running, abandoned, connection = unpack(KEYS)
local now = now_ms()
local asked = redis.call('HMGET', connection, 'cancel_on_disconnect', 'interrupted')

-- Return ms until a response is cancelled. Its own request counts more than its connection. A
-- connection that the server has closed did not leave: its client gets an event that says to resume.
local function window(own)
  return (own or asked[1]) == '1' and not asked[2] and 0 or ARGV[2]
end

for index = 3, #ARGV do
  local id = ARGV[index]
  local meta = redis.call('HMGET', 'axon:response:' .. id, 'connection_id', 'cancel_on_disconnect')
  if meta[1] == ARGV[1] then
    redis.call('ZADD', abandoned, 'NX', now + window(meta[2]), id)
  else
    redis.call('SREM', running, id)
  end
end
