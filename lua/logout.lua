-- Ends the session that a refresh token names.
-- KEYS: 1 epoch, 2 gone, 3 endings, 4 sessions, 5 data
-- ARGV: 1 clock, 2 trail, 3 id, 4 presented generation, 5 presented expiry,
--       6 retry window, 7 detect reuse
-- Returns: ok, now | unknown | spent | ended, cause | expired, cause
--        | replayed, cause
local epoch_key, gone, endings, sessions, data = unpack(KEYS)
local given, trail, id, presented, expiry, window, detect = unpack(ARGV)

local now, real = clock(given)
local record = redis.call('HGET', data, id)
if not record then return missing(gone, id) end
local denied = over(record, now, tonumber(redis.call('GET', epoch_key) or 0))
local word = judge(tonumber(presented), tonumber(expiry), record, now, tonumber(window), detect)
if not denied and (word == 'unknown' or word == 'spent') then return {word} end

erase(sessions, data, {id})
settle(sessions, data)
if denied then return denied end
if word == 'replayed' then
  tell(gone, endings, trail, now, real, {id}, 'replay', '')
  return {word, 'replay'}
end
tell(gone, endings, trail, now, real, {id}, 'logout', '')
return {'ok', micros(now)}
