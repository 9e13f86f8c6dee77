-- Remove a response from a relay's deliveries, unless it was resumed on another connection.
-- KEYS: relay's responses, response
-- ARGV: response id, connection id or '' for any
-- Returns nothing.
local connection, lane = unpack(redis.call('HMGET', KEYS[2], 'connection_id', 'lane'))
if ARGV[2] == '' or not connection or connection == ARGV[2] then
  redis.call('SREM', KEYS[1], ARGV[1])
  if connection and lane then
    leave_lane('axon:connection:' .. connection, ARGV[1], lane, '')
  end
end
