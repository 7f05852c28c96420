-- Revokes the session that a refresh token names.
-- KEYS: 1 not-before, 2 tombstones, 3 revocations, 4 sessions, 5 data
-- ARGV: 1 latest start, 2 revocation parameters, 3 id, 4 terms, 5 cause
-- Returns: ok, now | unknown | spent | ended, cause | expired, cause
--        | replayed, cause

-- include prelude
-- include guard
-- include refusals
local revocations, sessions, data = unpack(KEYS, 3)
local id, terms, cause = unpack(ARGV, 3)
-- include terms
-- include refused_terms
-- include clamp
-- include token_outcome
-- include set_expiry
-- include revocation

local record = redis.call('HGET', data, id:sub(1, FIELD))
if not record or #record < RECORD_SIZE then return refuse_missing(id) end
local word, why = token_outcome(record)
if word == 'unknown' or word == 'spent' or word == 'ended' then return {word, why} end

if word ~= 'expired' then record_revocation(revocations, {id}, why or cause, '') end
delete_sessions(sessions, data, {id})
set_expiry(sessions, data)
if word == 'expired' or word == 'replayed' then return {word, why} end
return {'ok', micros}
