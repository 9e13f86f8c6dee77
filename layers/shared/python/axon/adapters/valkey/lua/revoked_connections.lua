-- Return connections of revoked API keys that a relay is to work on. A key is one relay's for 2 s after
-- each of its looks, so that clients are not notified twice.
-- KEYS: revoked keys
-- ARGV: relay id, how many connections at most, ms for which a relay has a key to itself, ms from a
--       revocation to the close of its connections, how many revoked keys to pass over
-- Returns how many keys the next call is to pass over, 0 after the last key; then key id, connection id,
-- 1 if it is to be closed now, and when it is to be closed, of each connection.
local KEYS_AT_ONCE = 32
local relay, rest, lease, grace = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local at = tonumber(ARGV[5])
local now, found = now_ms(), {}

-- A key gets its share of the page, so that one with thousands of connections leaves room for others.
local share = 0

local function add(id, connections, closing, close_at)
  for _, connection in ipairs(connections) do
    found[#found + 1] = { id, connection, closing, close_at }
  end
  rest, share = rest - #connections, share - #connections
end

local revoked = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '+inf', 'WITHSCORES', 'LIMIT', at, KEYS_AT_ONCE)
for position = 1, #revoked, 2 do
  if rest <= 0 then
    -- The next call begins with this key: otherwise keys before it could fill each page again.
    return { at, found }
  end
  local id, close_at = revoked[position], tonumber(revoked[position + 1]) + grace
  local open, closer = 'axon:key:' .. id .. ':connections', 'axon:key:' .. id .. ':closer'
  local holder = redis.call('GET', closer)
  at = at + 1
  if redis.call('EXISTS', open) == 0 then
    redis.call('ZREM', KEYS[1], id)
    at = at - 1 -- those behind it have moved up
  elseif not holder or holder == relay then
    redis.call('SET', closer, relay, 'PX', lease)
    -- Those to be closed have a negative score, and come first: their time has come.
    share = math.ceil(rest / ((#revoked - position + 1) / 2))
    add(id, redis.call('ZRANGEBYSCORE', open, -now, '(0', 'LIMIT', 0, share), 1, close_at)
    if share > 0 then
      add(id, redis.call('ZRANGEBYSCORE', open, '(0', '+inf', 'LIMIT', 0, share), 0, close_at)
    end
  end
end
return { #revoked < 2 * KEYS_AT_ONCE and 0 or at, found }
