-- The only place in Lua where publications are formatted and sent. The format is a header line, then
-- one event a line; `axon.event_log.publication.Publication` writes and reads the same, and a
-- contract test compares the two byte for byte.

-- flags: '-' events, 'T' the last events, 'R' resumed, 'M' moved; then '!' if the events are granted
-- fields: 'name=value', separated by spaces, or nil; older relays ignore them, or drop the publication and
-- read the log (docs/formats.md)
local function publication_header(id, connection, first, flags, fields)
  local header = id .. ' ' .. connection .. ' ' .. first .. ' ' .. flags
  return fields and fields ~= '' and header .. ' v1 ' .. fields or header
end

-- Return a response's place in its lane as fields of a header; '' for a response without a lane.
local function position_fields(lane, order, before)
  if not lane or lane == '' then
    return ''
  end
  local fields = 'lane=' .. lane .. ' order=' .. order
  return before ~= '' and fields .. ' before=' .. before or fields
end

-- Publish events to the relay that delivers the response, and to the response's followers.
-- relay: '' for a followed response, which is not delivered;
-- checkpoint: the response's, as `grantable` returns it; terminal: whether nothing follows;
-- events: one a line; fields: of the header, or nil
local function publish_events(response, relay, checkpoint, id, connection, first, terminal, events, fields)
  local channel = relay ~= '' and 'axon:relay:' .. relay
  local flags = terminal and 'T' or '-'
  -- Where all earlier events have certainly arrived, these are granted: the relay may post them
  -- without writing a checkpoint first, which spares it a round trip. The grant is written in the
  -- same step as the events, so a relay that takes over from this one knows that they may have been
  -- posted. A relay that does not listen gets no grant: it is probably dead, and a grant would only
  -- make its successor close the connection for events that nobody has posted.
  if channel and checkpoint == tostring(first) and redis.call('PUBSUB', 'NUMSUB', channel)[2] > 0 then
    redis.call('HSET', response, 'checkpoint', first .. '!')
    flags = flags .. '!'
  end
  local publication = publication_header(id, connection, first, flags, fields) .. '\n' .. events
  if channel then
    redis.call('PUBLISH', channel, publication)
  end
  -- Most responses have no follower. To ask whether one listens would cost as much as to publish to
  -- nobody: 1 us of the 15 us that an append takes (measured, Valkey 9.1).
  redis.call('PUBLISH', 'axon:response:' .. id, publication)
end

-- Tell a relay to deliver the response to this connection, from event `first` on.
local function publish_resumed(relay, id, connection, first, fields)
  redis.call('PUBLISH', 'axon:relay:' .. relay, publication_header(id, connection, first, 'R', fields))
end

-- Tell a relay to deliver nothing more of the response to this connection; `to` is the one that gets it.
local function publish_moved(relay, id, connection, to)
  redis.call('PUBLISH', 'axon:relay:' .. relay,
    publication_header(id, connection, 0, 'M', 'to=' .. to))
end

