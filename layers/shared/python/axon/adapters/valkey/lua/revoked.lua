-- Return whether an API key is known as revoked; `axon.adapters.valkey.keys.key_state` has the key's form.
local function is_revoked(key_id)
  return key_id ~= '' and redis.call('GET', 'axon:key:' .. key_id) == 'revoked'
end
