-- Remove a response from a relay's deliveries, unless it was resumed on another connection.
-- KEYS: relay's responses, response
-- ARGV: response id, connection id or '' for any
-- Returns nothing.
local connection = redis.call('HGET', KEYS[2], 'connection_id')
if ARGV[2] == '' or not connection or connection == ARGV[2] then
  redis.call('SREM', KEYS[1], ARGV[1])
end
