-- How sessions end: what is taken away, and who is told. Settling the keys' lives
-- is apart, in settle.lua.

-- unpack() puts all it is given on Lua's stack, which ends near 8000.
local CHUNK = 1000

local GONE_KEPT = 32

local function erase(sessions, data, ids)
  for first = 1, #ids, CHUNK do
    local last, fields = math.min(first + CHUNK - 1, #ids), {}
    for i = first, last do
      local field = ids[i]:sub(1, FIELD)
      fields[#fields + 1] = field
      fields[#fields + 1] = field .. 'i'
      fields[#fields + 1] = field .. 'c'
    end
    redis.call('ZREM', sessions, unpack(ids, first, last))
    redis.call('HDEL', data, unpack(fields))
  end
end

-- Every acting ending is told here: to who asks what became of a session, to the
-- outbox for who reads it later, and to who listens now. It comes after the
-- sessions were erased, since a script that has deleted may still write when
-- memory is full. The epoch's names no ids.
local function tell(endings, ids, cause, by)
  local life, horizon, channel, app, user = ARGV[2]:match('^(%d+)|(%d+)|([^|]*)|([^|]*)|(.*)$')
  local lines = {}
  for i = math.max(1, #ids - GONE_KEPT + 1), #ids do
    lines[#lines + 1] = ms
    lines[#lines + 1] = ids[i] .. '|' .. cause .. '|' .. by
  end
  if #ids > 0 then
    redis.call('ZADD', gone, unpack(lines))
    redis.call('ZREMRANGEBYRANK', gone, 0, -GONE_KEPT - 1)
    redis.call('PEXPIREAT', gone, ms + life)
  end
  local ending = table.concat({ms, cause, by, table.concat(ids, ','), app, user}, '|')
  local oldest = math.max(0, time[1] * 1000 - horizon) -- entry IDs go by the real time
  redis.call('XADD', endings, 'MINID', '~', oldest, '*', 'e', ending)
  redis.call('PEXPIRE', endings, horizon)
  redis.pcall('PUBLISH', channel, ending) -- a user without the right to: the outbox reaches them, only later
end
