-- What all scripts share; lua.go puts it before each of them. Each is given the
-- epoch's key first, that of its user's `gone` second, and as arguments first
-- the clock and the trail: life of `gone`, horizon of the outbox, channel, app,
-- user, with | in between. The user comes last, here and in what is published,
-- since it may hold any character. Times are milliseconds unless they say
-- otherwise. A function costs each run 0.1 µs, called or not; so they are few.

-- The time to go by; the microseconds are a fraction of `now`. The clock is 0
-- for Redis's own, or a test's, in microseconds.
local time = redis.call('TIME')
local micros = ARGV[1] == '0' and time[1] * 1000000 + time[2] or tonumber(ARGV[1])
local now = micros / 1000
local ms = now - now % 1

local epoch, gone = tonumber(redis.call('GET', KEYS[1]) or 0), KEYS[2]

-- A session's record: generation, created, updated (µs), rotated, expires (s),
-- absolute (s), and 1 if it has claims, for which a refresh need not look if
-- not. Then, where its app had been ended before, the epoch (µs) when it began,
-- which orders the two where no clock can.
local RECORD, ERA_AT = '>I4I6I7I6I4I4B', 33

-- What names a session's fields in the data hash: so many characters of its ID.
-- They hold 60 random bits, which tell one user's sessions apart (create.lua
-- makes sure); all 22 would cost each session a tenth more memory.
local FIELD = 10

-- The reply that refuses a user whom the directory doesn't know as active.
local function refused(check, user)
  if check ~= '1' then return nil end
  local active = redis.call('HGET', user, 'active')
  if not active then return {'user_not_found'} end
  if active ~= '1' then return {'user_inactive'} end
end

-- The reply for a session that is past its time, or before its app's epoch.
-- The latter's record is left for its expiry to free, as it tells the cause.
local function over(record)
  local expires, absolute = struct.unpack('>I4I4', record, 24)
  if now >= absolute * 1000 then return {'expired', 'absolute'} end
  if now >= expires * 1000 then return {'expired', 'expired'} end
  if epoch > 0 and (#record < ERA_AT or struct.unpack('>I7', record, ERA_AT) < epoch) then return {'ended', 'app'} end
end

-- The reply for a session that isn't there.
local function missing(id)
  local oldest = ms - ARGV[2]:match('^%d+')
  for _, line in ipairs(redis.call('ZREVRANGEBYSCORE', gone, '+inf', '(' .. oldest)) do
    if line:sub(1, #id + 1) == id .. '|' then return {'ended', line:match('|(.-)|')} end
  end
  return {'unknown'}
end
