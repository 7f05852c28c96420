-- Ends the session that a refresh token names.
-- KEYS: 1 epoch, 2 gone, 3 endings, 4 sessions, 5 data
-- ARGV: 1 clock, 2 trail, 3 id, 4 presented generation, 5 presented expiry,
--       6 retry window, 7 detect reuse, 8 cause
-- Returns: ok, now | unknown | spent | ended, cause | expired, cause
--        | replayed, cause

-- include lib
-- include guards
-- include judge
-- include settle
-- include change
local endings, sessions, data = unpack(KEYS, 3)
local id, presented, expiry, window, detect, cause = unpack(ARGV, 3)

local record = redis.call('HGET', data, id:sub(1, FIELD))
if not record then return missing(id) end
local denied = over(record)
local generation, _, _, rotated, expires = struct.unpack(RECORD, record)
presented, expiry = tonumber(presented), tonumber(expiry)
local word = denied and denied[1] or judge(presented, expiry, generation, rotated, expires * 1000, window, detect == '1')
if word == 'ended' then return denied end
if word == 'unknown' or word == 'spent' then return {word} end

erase(sessions, data, {id})
settle(sessions, data)
if denied then return denied end
if word == 'replayed' then
  tell(endings, {id}, 'replay', '')
  return {word, 'replay'}
end
tell(endings, {id}, cause, '')
return {'ok', micros}
