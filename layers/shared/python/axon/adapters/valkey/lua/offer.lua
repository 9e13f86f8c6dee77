-- Publish events to their relay. Where all before them has surely arrived, and the relay listens,
-- they are offered: it may post them without a mark of its own.
-- mark: the response's, or false if there is none; kind: '-', or 'T' if nothing follows
local function offer(response, relay, mark, id, connection, first, kind, events)
  local channel = 'axon:relay:' .. relay
  if (mark or '0') == tostring(first) and redis.call('PUBSUB', 'NUMSUB', channel)[2] > 0 then
    redis.call('HSET', response, 'mark', first .. '!')
    kind = kind .. '!'
  end
  redis.call('PUBLISH', channel, id .. ' ' .. connection .. ' ' .. first .. ' ' .. kind .. '\n' .. events)
end

