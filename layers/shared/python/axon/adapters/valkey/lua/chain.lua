-- Read a response's turn and the turns before it; extend the expiry of the stored ones.
-- KEYS: none; the keys of the turns follow from the ids in the turns
-- ARGV: response id, seconds to keep
-- Returns the turns, newest first, up to the first that is missing.
local turns = {}
local id = ARGV[1]
while id ~= '' do
  local key = 'axon:turn:' .. id
  local turn = redis.call('HMGET', key, 'turn', 'previous', 'connection_id')
  if not turn[1] then
    break
  end
  if turn[3] == '' then
    redis.call('EXPIRE', key, ARGV[2])
  end
  turns[#turns + 1] = turn[1]
  id = turn[2]
end
return turns
