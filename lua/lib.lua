-- What all scripts share; lua.go puts it before each of them. Times are
-- milliseconds; `now` has the microseconds as its fraction.

-- A session's record: generation, created, updated (µs), rotated, expires,
-- absolute. 44 bytes, so that a hash of them stays a listpack.
local RECORD = '>I4I8I8I8I8I8'

-- The time to go by, and the real one. They differ in tests only.
local function clock(given)
  local time = redis.call('TIME')
  local real = time[1] * 1000 + time[2] / 1000
  return given == '0' and real or given / 1000, real
end

local function micros(now) return math.floor(now * 1000 + 0.5) end

-- The reply that refuses a user whom the directory doesn't know as active.
local function refused(check, user)
  if check ~= '1' then return nil end
  local active = redis.call('HGET', user, 'active')
  if not active then return {'user_not_found'} end
  if active ~= '1' then return {'user_inactive'} end
end

-- The reply for a session that is past its time, or its app's epoch.
local function over(record, now, epoch)
  local _, created, _, _, expires, absolute = struct.unpack(RECORD, record)
  if now >= absolute then return {'expired', 'absolute'} end
  if now >= expires then return {'expired', 'expired'} end
  if created < epoch then return {'ended', 'app'} end
end

-- The reply for a session that isn't there.
local function missing(gone, id)
  for _, line in ipairs(redis.call('ZREVRANGE', gone, 0, -1)) do
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

local function revoked(caller, first, step, now, epoch)
  if caller == '' then return false end
  local _, record = find(caller, first, step)
  return not record or over(record, now, epoch)
end
