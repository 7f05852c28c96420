-- Creates a session. At the maximum it evicts the least recently updated sessions until
-- the new one fits, or refuses. At the ceiling of a type without a maximum it evicts those
-- that expire first.
-- KEYS: 1 not-before, 2 tombstones, 3 revocations, 4 user, 5 sessions, 6 data,
--       7… sessions and data of the other types, if sessions with another credential
--       are to be revoked
-- ARGV: 1 latest start, 2 revocation parameters, 3 check user, 4 id, 5 lifetime, 6 absolute lifetime,
--       7 extend (0 if no refresh extends a session), 8 maximum (empty means none),
--       9 evict, 10 info, 11 claims, 12 secret, 13 credential, 14 time before which a session was
--       created that is revoked for another credential (empty means none is)
-- Returns: ok, now, record, evicted, changed | limit_reached
--        | user_not_found | user_inactive | unavailable

-- include prelude
-- include refusals
-- include set_expiry
-- include revocation
-- include sorts_before
local revocations, user, sessions, data = unpack(KEYS, 3)
local check, id, lifetime, absolute_lifetime, extend, maximum, evict, info, claims, secret, credential, before = unpack(ARGV, 3)
extend = tonumber(extend)
-- include clamp
-- include read_records
-- include least_recent
-- include other_credential

local MAX_SESSIONS = 10000 -- session.MaxSessions
if check == '1' then
  local active, credential_now = unpack(redis.call('HMGET', user, 'active', 'credential'))
  if not active or (credential_now or NO_CREDENTIAL) ~= credential then return {'user_not_found'} end
  if active ~= '1' then return {'user_inactive'} end
end
local expired, evicted = redis.call('ZRANGEBYSCORE', sessions, '-inf', ms, 'LIMIT', 0, PAGE), {}
local changed, others = {}, {}
local own = before ~= '' and with_other_credential(sessions, data, changed) or {}
for k = 7, #KEYS, 2 do others[k] = with_other_credential(KEYS[k], KEYS[k + 1], changed) end
local latest = micros - 1
if maximum == '' then
  if redis.call('ZCARD', sessions) - #expired - #own >= MAX_SESSIONS then
    -- include ceiling
  end
elseif evict == '1' or redis.call('ZCARD', sessions) - #expired >= tonumber(maximum) then
  local ids, created, updated, newest = live_sessions(sessions, data, own)
  local surplus = #ids - maximum + 1
  if surplus > 0 and evict ~= '1' then return {'limit_reached'} end
  evicted = surplus > 0 and least_recent(surplus, ids, created, updated) or {}
  if evict == '1' then latest = math.max(latest, newest) end
end

local expires, absolute = math.floor((ms + lifetime) / 1000), math.floor((ms + absolute_lifetime) / 1000)
local record = struct.pack(RECORD, VERSION, 1, ms, latest + 1, ms, expires, absolute, claims ~= '' and 1 or 0, secret, credential, not_before)
local field = id:sub(1, FIELD)
local fields = {field, record}
if info ~= '' then fields[3], fields[4] = field .. 'i', info end
if claims ~= '' then fields[#fields + 1], fields[#fields + 2] = field .. 'c', claims end
-- If another session of the user has the same fields, the login fails; the next one
-- draws another ID.
if redis.call('HGET', data, field) then return {'unavailable'} end

-- When memory is full, Redis refuses the first write, whichever it is.
if #evicted > 0 then record_revocation(revocations, evicted, 'evicted', id) end
if #changed > 0 then record_revocation(revocations, changed, 'account', '') end
redis.call('HSET', data, unpack(fields))
redis.call('ZADD', sessions, expires * 1000, id)
delete_sessions(sessions, data, expired)
delete_sessions(sessions, data, evicted)
delete_sessions(sessions, data, own)
set_expiry(sessions, data)
for k = 7, #KEYS, 2 do
  delete_sessions(KEYS[k], KEYS[k + 1], others[k])
  set_expiry(KEYS[k], KEYS[k + 1])
end
return {'ok', micros, record, evicted, changed}
