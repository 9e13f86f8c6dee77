-- Take tokens out of a bucket, all or none.
-- KEYS: bucket: when it will be full again, in ms
-- ARGV: ms in which an empty bucket fills, tokens of a full one, tokens to take
-- Returns 0 if they were taken, else the ms until there are as many.
local fills, most, count = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()
-- Whole ms: a token costs less than one, and many small takes must not be free.
local full = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0')) + math.ceil(count * fills / most)
if full - now > fills then
  return full - now - fills
end
redis.call('SET', KEYS[1], full, 'PX', full - now)
return 0
