-- What the scripts that change something share; lua.go puts it after lib.lua.

-- unpack() puts all it is given on Lua's stack, which ends near 8000.
local CHUNK = 1000

local GONE_KEPT = 32

-- What session.Policy.Refresh says of a token, for a session that is not over.
local function judge(presented, expiry, record, now, window, detect)
  local generation, _, _, rotated, expires = struct.unpack(RECORD, record)
  if presented == generation then return expiry == expires and 'ok' or 'unknown' end
  if presented > generation then return 'healed' end
  if presented == generation - 1 and now < rotated + window then return 'retried' end
  return detect == '1' and 'replayed' or 'spent'
end

-- Both keys of a type live until the last expiry in it.
local function settle(sessions, data)
  local last = redis.call('ZREVRANGE', sessions, 0, 0, 'WITHSCORES')[2]
  if not last then return end
  redis.call('PEXPIREAT', sessions, last)
  redis.call('PEXPIREAT', data, last)
end

local function erase(sessions, data, ids)
  for first = 1, #ids, CHUNK do
    local last, fields = math.min(first + CHUNK - 1, #ids), {}
    for i = first, last do
      fields[#fields + 1] = ids[i]
      fields[#fields + 1] = ids[i] .. 'i'
      fields[#fields + 1] = ids[i] .. 'c'
    end
    redis.call('ZREM', sessions, unpack(ids, first, last))
    redis.call('HDEL', data, unpack(fields))
  end
end

-- trail is "life of `gone` (ms)|horizon of the outbox (ms)|channel|app|user".
local function read_trail(trail)
  return trail:match('^(%d+)|(%d+)|([^|]*)|([^|]*)|(.*)$')
end

-- To the outbox, for who reads it later, and to who listens now. The user comes
-- last, since it may hold any character.
local function publish(endings, trail, now, real, ids, cause, by)
  local _, horizon, channel, app, user = read_trail(trail)
  local fields = {math.floor(now), cause, by, table.concat(ids, ','), app, user}
  local ending = table.concat(fields, '|')
  local oldest = math.max(0, math.floor(real) - horizon)
  redis.call('XADD', endings, 'MINID', '~', oldest, '*', 'e', ending)
  redis.call('PEXPIRE', endings, horizon)
  redis.call('PUBLISH', channel, ending)
end

-- Every acting ending goes through here, after its sessions were erased: a
-- script that has deleted may still write when memory is full.
local function tell(gone, endings, trail, now, real, ids, cause, by)
  local lines, when = {}, math.floor(now)
  for i = math.max(1, #ids - GONE_KEPT + 1), #ids do
    lines[#lines + 1] = when
    lines[#lines + 1] = ids[i] .. '|' .. cause .. '|' .. by
  end
  redis.call('ZADD', gone, unpack(lines))
  redis.call('ZREMRANGEBYRANK', gone, 0, -GONE_KEPT - 1)
  redis.call('PEXPIREAT', gone, when + read_trail(trail))
  publish(endings, trail, now, real, ids, cause, by)
end
