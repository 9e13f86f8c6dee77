-- Answer a repeated request whose conversation is not there any more, so that it cannot be opened.
-- KEYS: idempotency, connection, connection's responses, relays, abandoned
-- ARGV: fingerprint, connection id or '' for a caller that follows the response, its lane, then as in
--       `resume.lua`: two times of connections and relays, two of an ended response, name, generation,
--       API key's id or ''
-- Returns what `answer_repeated` returns.
if ARGV[2] ~= '' and redis.call('HEXISTS', KEYS[2], 'gone') == 1 then
  return { 'gone' }
end
if is_revoked(ARGV[10] or '') then
  return { 'revoked' }
end
local times = { ARGV[4], ARGV[5], ARGV[6], ARGV[7] }
return answer_repeated(KEYS[1], ARGV[1], ARGV[2], ARGV[3], KEYS[2], KEYS[3], KEYS[4], KEYS[5], times, ARGV[8],
  ARGV[9])
