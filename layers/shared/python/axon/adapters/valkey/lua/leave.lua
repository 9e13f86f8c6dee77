-- Shorten the time of a followed response: its client has left. Another process may extend it again.
-- KEYS: abandoned
-- ARGV: ms from now until it is cancelled, its id
-- Returns nothing.
if redis.call('HGET', 'axon:response:' .. ARGV[2], 'connection_id') == '' then
  -- XX: as in attend.lua. LT: it may be cancelled sooner already.
  redis.call('ZADD', KEYS[1], 'XX', 'LT', now_ms() + ARGV[1], ARGV[2])
end
