-- Return whether what a field's generation stands for holds on this server. A generation is the
-- identity of a server's history; another one means that newer writes may have been lost, the field's
-- own successor among them. A field that is missing was written by a version without generations.
local function is_current(stored, generation)
  return not stored or generation == '' or stored == generation
end

-- Return the generation of a checkpoint; false if a relay of the version before has written it. That one
-- leaves the field as it was, and orders its calls by its clock in us; today's relays count from 1.
local function generation_of_checkpoint(stored, call)
  return tonumber(call or '0') < 1e12 and stored
end

-- Return a checkpoint as `publish_events` takes it: with one of another generation nothing is granted,
-- because the events behind it may have been posted without a trace.
local function grantable(checkpoint, stored, generation)
  return is_current(stored, generation) and (checkpoint or '0') or '?'
end

-- Return how many events a client has certainly received, and no other; nil if that is not known.
-- checkpoint: the response's, or false if it has none yet; stored: the checkpoint's generation
local function delivered(checkpoint, stored, generation)
  if not is_current(stored, generation) then
    return nil
  end
  return tonumber(string.match(checkpoint or '0', '^(%d+)=?$'))
end

