-- Creates a session. At the maximum it evicts the least recently updated sessions until
-- the new one fits, or refuses.
-- KEYS: 1 not-before, 2 tombstones, 3 revocations, 4 user, 5 sessions, 6 data
-- ARGV: 1 clock, 2 revocation parameters, 3 password hash that matched (empty if
--       the user is not in this directory), 4 id, 5 lifetime, 6 absolute lifetime,
--       7 maximum (empty means none), 8 evict, 9 info, 10 claims
-- Returns: ok, now, record, evicted | limit_reached
--        | user_not_found | user_inactive | unavailable

-- include prelude
-- include refusals
-- include set_expiry
-- include revocation
-- include least_recent
local revocations, user, sessions, data = unpack(KEYS, 3)
local hash, id, lifetime, absolute, maximum, evict, info, claims = unpack(ARGV, 3)

if hash ~= '' then
  local active, password = unpack(redis.call('HMGET', user, 'active', 'password'))
  if password ~= hash then return {'user_not_found'} end
  if active ~= '1' then return {'user_inactive'} end
end
local expired, evicted = redis.call('ZRANGEBYSCORE', sessions, '-inf', ms), {}
if maximum ~= '' and redis.call('ZCARD', sessions) - #expired >= tonumber(maximum) then
  local ids, created, updated = live_sessions(sessions, data)
  local surplus = #ids - maximum + 1
  if surplus > 0 and evict ~= '1' then return {'limit_reached'} end
  evicted = least_recent(surplus, ids, created, updated)
end

local expires, absolute_expires = math.floor((now + lifetime) / 1000), math.floor((now + absolute) / 1000)
local record = struct.pack(RECORD, 1, ms, micros, ms, expires, absolute_expires, claims ~= '' and 1 or 0)
if not_before > 0 then record = record .. struct.pack('>I7', not_before) end
local field = id:sub(1, FIELD)
-- This write comes first, because Redis refuses it when memory is full, and then
-- nothing has changed. If another session of the user has the same fields, the login
-- fails; the next one draws another ID.
if redis.call('HSETNX', data, field, record) == 0 then return {'unavailable'} end
if info ~= '' then redis.call('HSET', data, field .. 'i', info) end
if claims ~= '' then redis.call('HSET', data, field .. 'c', claims) end
redis.call('ZADD', sessions, expires * 1000, id)
delete_sessions(sessions, data, expired)
delete_sessions(sessions, data, evicted)
set_expiry(sessions, data)
if #evicted > 0 then record_revocation(revocations, evicted, 'evicted', id) end
return {'ok', micros, record, evicted}
