-- Runs session.Policy.Refresh on one session.
-- KEYS: 1 epoch, 2 user, 3 gone, 4 endings, 5 sessions, 6 data
-- ARGV: 1 clock, 2 check user, 3 trail, 4 id, 5 presented generation,
--       6 presented expiry, 7 lifetime, 8 extend when less than this is left,
--       9 retry window, 10 rotate, 11 update, 12 detect reuse
-- Returns: ok, now, record, claims | healed, now, record, claims
--        | retried, now, record, claims | unknown | spent | ended, cause
--        | expired, cause | replayed, cause | user_not_found | user_inactive
local epoch_key, user, gone, endings, sessions, data = unpack(KEYS)
local given, check, trail, id, presented, expiry, lifetime, extend, window, rotate, update, detect = unpack(ARGV)

local denied = refused(check, user)
if denied then return denied end
local now, real = clock(given)
local record, claims = unpack(redis.call('HMGET', data, id, id .. 'c'))
if not record then return missing(gone, id) end
denied = over(record, now, tonumber(redis.call('GET', epoch_key) or 0))
if denied then
  erase(sessions, data, {id})
  settle(sessions, data)
  return denied
end
presented, expiry = tonumber(presented), tonumber(expiry)
local word = judge(presented, expiry, record, now, tonumber(window), detect)
if word == 'replayed' then
  erase(sessions, data, {id})
  settle(sessions, data)
  tell(gone, endings, trail, now, real, {id}, 'replay', '')
  return {word, 'replay'}
end
if word == 'retried' then return {word, micros(now), record, claims} end
if word ~= 'ok' and word ~= 'healed' then return {word} end

local generation, created, updated, rotated, expires, absolute = struct.unpack(RECORD, record)
local before = expires
if word == 'healed' then
  generation, expires = presented, math.max(expires, math.min(expiry, absolute))
end
local extended = expires < absolute and expires < now + extend
if extended then expires = math.min(math.floor((now + lifetime) / 1000) * 1000, absolute) end
if extended or rotate == '1' then generation, rotated = generation + 1, math.floor(now) end
if update == '1' then updated = micros(now) end
local after = struct.pack(RECORD, generation, created, updated, rotated, expires, absolute)
if after ~= record then redis.call('HSET', data, id, after) end
if expires ~= before then
  redis.call('ZADD', sessions, expires, id)
  settle(sessions, data)
end
return {word, micros(now), after, claims}
