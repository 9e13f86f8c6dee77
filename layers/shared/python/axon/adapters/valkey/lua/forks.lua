-- Note the forks of a log: from their numbers on its events may be other ones than before.
-- response: its key; connection: '' for a followed response; forks: all of them, or ''
local function keep_forks(response, connection, forks)
  if forks == '' then
    return
  end
  redis.call('HSET', response, 'forks', forks)
  -- No relay confirms what the readers of a followed response have. That must be known also once it is
  -- resumed on a connection. The first one has the lowest number: a log only grows in between.
  if connection == '' and redis.call('HEXISTS', response, 'followed_fork') == 0 then
    redis.call('HSET', response, 'followed_fork', string.match(forks, '%d+'))
  end
end
