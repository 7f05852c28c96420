-- Both keys of a type live until the last expiry in it.
local function settle(sessions, data)
  local last = redis.call('ZREVRANGE', sessions, 0, 0, 'WITHSCORES')[2]
  if not last then return end
  redis.call('PEXPIREAT', sessions, last)
  redis.call('PEXPIREAT', data, last)
end
