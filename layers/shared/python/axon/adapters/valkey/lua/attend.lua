-- Extend the time at which followed responses are cancelled: somebody reads them.
-- KEYS: abandoned
-- ARGV: ms from now until they are cancelled, then their ids, a bounded number
-- Returns nothing.
local extended, at = {}, now_ms() + ARGV[1]
for index = 2, #ARGV do
  -- One that was resumed on a connection is that connection's: who reads it besides must not keep it
  -- running after its client has left.
  if redis.call('HGET', 'axon:response:' .. ARGV[index], 'connection_id') == '' then
    extended[#extended + 1] = at
    extended[#extended + 1] = ARGV[index]
  end
end
if #extended > 0 then
  -- XX: one that has ended has left the index, and must not come back into it.
  redis.call('ZADD', KEYS[1], 'XX', 'GT', unpack(extended))
end
