-- Revokes the session that a refresh token names.
-- KEYS: 1 not-before, 2 tombstones, 3 revocations, 4 sessions, 5 data
-- ARGV: 1 clock, 2 revocation parameters, 3 id, 4 presented generation,
--       5 presented expiry, 6 retry window, 7 detect reuse, 8 cause
-- Returns: ok, now | unknown | spent | ended, cause | expired, cause
--        | replayed, cause

-- include prelude
-- include refusals
-- include token_outcome
-- include set_expiry
-- include revocation
local revocations, sessions, data = unpack(KEYS, 3)
local id, presented, expiry, window, detect, cause = unpack(ARGV, 3)

local record = redis.call('HGET', data, id:sub(1, FIELD))
if not record then return refuse_missing(id) end
local refusal = refuse_ended(record)
local generation, _, _, rotated, expires = struct.unpack(RECORD, record)
presented, expiry = tonumber(presented), tonumber(expiry)
local word = refusal and refusal[1] or token_outcome(presented, expiry, generation, rotated, expires * 1000, window, detect == '1')
if word == 'ended' then return refusal end
if word == 'unknown' or word == 'spent' then return {word} end

delete_sessions(sessions, data, {id})
set_expiry(sessions, data)
if refusal then return refusal end
if word == 'replayed' then
  record_revocation(revocations, {id}, 'replay', '')
  return {word, 'replay'}
end
record_revocation(revocations, {id}, cause, '')
return {'ok', micros}
