-- What all scripts share; lua.go puts it before each of them. Each is given the
-- epoch's key first, that of its user's `gone` second, and as arguments first
-- the clock and the trail. Times are milliseconds unless they say otherwise.

-- The time to go by (the microseconds are a fraction), and the real one. They
-- differ in tests only: the clock is 0 or that test's time in microseconds.
local time = redis.call('TIME')
local real = time[1] * 1000 + time[2] / 1000
local now = ARGV[1] == '0' and real or ARGV[1] / 1000
local ms, micros = math.floor(now), math.floor(now * 1000 + 0.5)

local epoch, gone = tonumber(redis.call('GET', KEYS[1]) or 0), KEYS[2]

-- Life of `gone`, horizon of the outbox, channel, app, user. The user comes
-- last, here and in what is published, since it may hold any character.
local function trail()
  return ARGV[2]:match('^(%d+)|(%d+)|([^|]*)|([^|]*)|(.*)$')
end

-- A session's record: generation, created, updated (µs), rotated, expires,
-- absolute, and the epoch (µs) when it began, which orders the two where no
-- clock can. 52 bytes, so that a hash of them stays a listpack.
local RECORD = '>I4I8I8I8I8I8I8'

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
  local _, _, _, _, expires, absolute, era = struct.unpack(RECORD, record)
  if now >= absolute then return {'expired', 'absolute'} end
  if now >= expires then return {'expired', 'expired'} end
  if era < epoch then return {'ended', 'app'} end
end

-- The reply for a session that isn't there.
local function missing(id)
  local oldest = ms - trail()
  for _, line in ipairs(redis.call('ZREVRANGEBYSCORE', gone, '+inf', '(' .. oldest)) do
    if line:sub(1, #id + 1) == id .. '|' then return {'ended', line:match('|(.-)|')} end
  end
  return {'unknown'}
end

-- Where in KEYS the data hash is that holds a session, and its record. Data
-- hashes are every step-th key from first on.
local function find(id, first, step)
  for k = first, #KEYS, step do
    local record = redis.call('HGET', KEYS[k], id)
    if record then return k, record end
  end
end

-- The reply that refuses an access token whose own session is over.
local function revoked(caller, first, step)
  if caller == '' then return nil end
  local _, record = find(caller, first, step)
  local why
  if record then why = over(record) else why = missing(caller) end
  return why and {'token_revoked', why[2]}
end
