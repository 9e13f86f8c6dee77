-- Return the server's time in ms of the Unix epoch: the clocks of clients differ, so that leases and
-- deadlines are compared by this one only.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

