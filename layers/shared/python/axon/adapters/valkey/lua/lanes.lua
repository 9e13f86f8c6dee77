-- The lanes of a connection: responses with the same stream id, delivered one after the other. The
-- connection's hash has the last response of each lane that is not delivered (field 'lane:' and its name)
-- and the highest order; a response's hash has its place: `axon.event_log.lanes.LanePosition`.

-- Give a response the last place of a lane; none if the lane's name is ''.
-- connection: its key; false for a followed response, which joins the lane when it is resumed on a connection
-- Returns its order, and the response before it that is not delivered yet, or ''.
local function join_lane(response, connection, id, lane, now)
  if lane == '' then
    return 0, ''
  end
  if not connection then
    redis.call('HSET', response, 'lane', lane)
    return 0, ''
  end
  local field = 'lane:' .. lane
  local last = redis.call('HMGET', connection, 'order', field)
  -- From the time, so that a connection whose hash was lost does not begin below what relays know.
  local order = math.max(now, tonumber(last[1] or '0') + 1)
  local before = last[2] or ''
  redis.call('HSET', connection, 'order', order, field, id)
  redis.call('HSET', response, 'lane', lane, 'order', order, 'before', before)
  return order, before
end

-- Give a response that is restored the place that it had, so that one which its client has begun to
-- receive stays before those that came later. An order of 0 stands for the last place.
local function rejoin_lane(response, connection, id, lane, order, before, now)
  if lane == '' or order == '0' or not connection then
    join_lane(response, connection, id, lane, now)
    return
  end
  local field = 'lane:' .. lane
  local last = redis.call('HMGET', connection, 'order', field)
  redis.call('HSET', response, 'lane', lane, 'order', order, 'before', before)
  if tonumber(last[1] or '0') < tonumber(order) then
    redis.call('HSET', connection, 'order', order)
  end
  local other = last[2] and redis.call('HGET', 'axon:response:' .. last[2], 'order') or '0'
  if tonumber(other) < tonumber(order) then
    redis.call('HSET', connection, field, id)
  end
end

-- Take a response out of its lane's last place: it was delivered, or has moved.
-- before: the response that is the last one then, or ''
local function leave_lane(connection, id, lane, before)
  local field = 'lane:' .. lane
  if redis.call('HGET', connection, field) ~= id then
    return
  end
  if before == '' then
    redis.call('HDEL', connection, field)
  else
    redis.call('HSET', connection, field, before)
  end
end

