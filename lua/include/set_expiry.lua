-- Sets both keys of a session type to expire with their last session.
local function set_expiry(sessions, data)
  local last = redis.call('ZREVRANGE', sessions, 0, 0, 'WITHSCORES')[2]
  if not last then return end
  redis.call('PEXPIREAT', sessions, last)
  redis.call('PEXPIREAT', data, last)
end
