-- Records the revocation of sessions and deletes them: first guard.lua, so that it works
-- while memory is full, then record_revocation, then delete_sessions. set_expiry.lua sets
-- the expiry of the keys afterwards.

-- unpack() puts all its results on Lua's stack, which holds about 8000.
local CHUNK = 1000

local MAX_TOMBSTONES = 32

local function delete_sessions(sessions, data, ids)
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

-- Records the revocation of sessions in the outbox and in the user's tombstones, and
-- publishes it on the channel. Call it before anything else is written: if Redis refuses
-- the outbox, the script has changed nothing. The revocation of a whole app names no ids.
-- One of too many sessions has `all` in their place; ids are then those that get a
-- tombstone.
local function record_revocation(revocations, ids, cause, by, all)
  local lifetime, retention, channel, app, user = ARGV[2]:match('^(%d+)|(%d+)|([^|]*)|([^|]*)|(.*)$')
  local revocation = table.concat({ms, cause, by, all or table.concat(ids, ','), app, user}, '|')
  local oldest = math.max(0, time[1] * 1000 - retention) -- entry IDs hold Redis's own time
  redis.call('XADD', revocations, 'MINID', '~', oldest, '*', 'e', revocation)
  redis.call('PEXPIRE', revocations, retention)
  redis.pcall('PUBLISH', channel, revocation) -- if the Redis user may not publish, instances get it from the outbox, later
  if #ids == 0 then return end
  local lines = {}
  for i = math.max(1, #ids - MAX_TOMBSTONES + 1), #ids do
    lines[#lines + 1] = ms
    lines[#lines + 1] = ids[i] .. '|' .. cause .. '|' .. by
  end
  redis.call('ZADD', tombstones, unpack(lines))
  redis.call('ZREMRANGEBYRANK', tombstones, 0, -MAX_TOMBSTONES - 1)
  redis.call('PEXPIREAT', tombstones, ms + lifetime)
end
