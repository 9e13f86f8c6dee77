-- Publish events to their relay. Where all before them has surely arrived, and the relay listens,
-- they are granted: it may post them without a checkpoint of its own.
-- checkpoint: the response's, or false if there is none; kind: '-', or 'T' if nothing follows
local function publish(response, relay, checkpoint, id, connection, first, kind, events)
  local channel = 'axon:relay:' .. relay
  if (checkpoint or '0') == tostring(first) and redis.call('PUBSUB', 'NUMSUB', channel)[2] > 0 then
    redis.call('HSET', response, 'checkpoint', first .. '!')
    kind = kind .. '!'
  end
  redis.call('PUBLISH', channel, id .. ' ' .. connection .. ' ' .. first .. ' ' .. kind .. '\n' .. events)
end

