-- The version of a log's format, as a response's hash carries it. `axon.formats` has the same number.
local FORMAT = 1

-- Return whether only a newer version can read the log: fields may mean something else there. The
-- version before writes no version.
local function unreadable(response)
  return tonumber(redis.call('HGET', response, 'format') or '1') > FORMAT
end

