-- Run one command: in a script it also runs while Valkey has no memory left, where the caller asks for that.
-- KEYS: the command's key
-- ARGV: name of the command, then its arguments behind the key
-- Returns the command's answer.
return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))
