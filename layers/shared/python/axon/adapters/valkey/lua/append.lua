-- Append events behind the epoch's fence and publish them. A repeated append changes nothing.
-- KEYS: response, events, deadlines, abandoned
-- ARGV: response id, epoch, first sequence number, status, seconds to keep the events and the rest
--       after the end, then event and token ids by turns
-- Returns what became of it, and the connection that waits for it.
local response, events, deadlines, abandoned = unpack(KEYS)
local meta = redis.call('HMGET', response, 'status', 'epoch', 'next_sequence', 'connection_id',
  'relay_id', 'checkpoint')
if not meta[1] then
  return { 'missing' }
end
if meta[2] ~= ARGV[2] then
  return { 'fenced' }
end
local first, count = tonumber(ARGV[3]), (#ARGV - 6) / 2
local following = tonumber(meta[3])
if following >= first + count then
  return { 'appended', meta[4] }
end
if meta[1] ~= 'queued' and meta[1] ~= 'in_progress' then
  return { 'fenced' }
end
if following ~= first then
  return { 'gap' }
end
local status = ARGV[4]
local terminal = status ~= 'in_progress'
local lines = {}
for index = 1, count do
  local event, tokens = ARGV[5 + 2 * index], ARGV[6 + 2 * index]
  local id = (first + index) .. '-0'
  if tokens == '' then
    redis.call('XADD', events, id, 'e', event)
  else
    redis.call('XADD', events, id, 'e', event, 't', tokens)
  end
  lines[index] = event
end
redis.call('HSET', response, 'status', status, 'next_sequence', first + count)
if terminal then
  redis.call('HDEL', response, 'job')
  redis.call('ZREM', deadlines, ARGV[1])
  redis.call('ZREM', abandoned, ARGV[1])
  redis.call('SREM', 'axon:connection:' .. meta[4] .. ':responses', ARGV[1])
  redis.call('EXPIRE', response, ARGV[6])
  redis.call('EXPIRE', events, ARGV[5])
end
publish_events(response, meta[5], meta[6], ARGV[1], meta[4], first, terminal,
  table.concat(lines, '\n'))
return { 'appended', meta[4] }
