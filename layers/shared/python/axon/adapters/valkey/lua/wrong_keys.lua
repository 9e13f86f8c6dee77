-- Look into the token bucket of an address's wrong API keys, or take a token out.
-- KEYS: bucket: when it will be full again, in ms
-- ARGV: ms until a token comes back, tokens of a full bucket, 1 to take a token or 0 to look
-- Returns the ms until there is a token, 0 if there is one.
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = now_ms()
local full = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
if ARGV[3] == '1' then
  -- Many may have looked at the same time. None of them makes the wait longer than a full bucket's.
  full = math.min(full + interval, now + interval * burst)
  redis.call('SET', KEYS[1], full, 'PX', full - now)
end
return math.max(0, full - now - interval * (burst - 1))
