-- Runs session.Policy.Refresh on one session.
-- KEYS: 1 not-before, 2 tombstones, 3 revocations, 4 user, 5 sessions, 6 data
-- ARGV: 1 clock, 2 revocation parameters, 3 id, 4 terms
-- Returns: ok, now, record, claims | healed, now, record, claims
--        | retried, now, record, claims | unknown | spent | ended, cause
--        | expired, cause | replayed, cause | user_not_found | user_inactive

-- include prelude
local revocations, user, sessions, data = unpack(KEYS, 3)
local id = ARGV[3]
-- Nine arguments packed in one, which Redis reads in a sixth of the time: presented
-- generation and expiry, retry window, lifetime, the remaining time below which the
-- session is extended, and as 0 or 1: check user, detect reuse, rotate, update.
local presented, expiry, window, lifetime, extend, check, detect, rotate, update =
  struct.unpack('>I4I8I4I8I8BBBB', ARGV[4])

local word, field = 'ok', id:sub(1, FIELD)
local record = redis.call('HGET', data, field)
local generation, created, updated, rotated, expires, absolute, claimed
if record then
  generation, created, updated, rotated, expires, absolute, claimed = struct.unpack(RECORD, record)
  expires, absolute = expires * 1000, absolute * 1000
end

-- Nearly always the token is the current one of a live session, and then no
-- function has to be defined. No session expires after its absolute time, so the
-- expiry alone decides here.
local usual = presented == generation and expiry == expires and now < expires and not_before == 0
  and (check == 0 or redis.call('HGET', user, 'active') == '1')
if not usual then
  -- include refusals
  -- include token_outcome
  -- include set_expiry
  -- include revocation
  local refusal = check == 1 and refuse_user('1', user)
  if refusal then return refusal end
  if not record then return refuse_missing(id) end
  refusal = refuse_ended(record)
  word = refusal and refusal[1] or token_outcome(presented, expiry, generation, rotated, expires, window, detect == 1)
  if word == 'expired' or word == 'replayed' then
    delete_sessions(sessions, data, {id})
    set_expiry(sessions, data)
  end
  if refusal then return refusal end
  if word == 'replayed' then record_revocation(revocations, {id}, 'replay', '') return {word, 'replay'} end
  if word == 'unknown' or word == 'spent' then return {word} end
end

local claims = claimed == 1 and redis.call('HGET', data, field .. 'c')
if word == 'retried' then return {word, micros, record, claims} end
local before = expires
if word == 'healed' then
  generation, expires = presented, math.max(expires, math.min(expiry, absolute))
end
local extended = expires < absolute and expires < now + extend
if extended then expires = math.min(math.floor((now + lifetime) / 1000) * 1000, absolute) end
if extended or rotate == 1 then generation, rotated = generation + 1, ms end
if update == 1 then updated = micros end
local after = struct.pack(RECORD, generation, created, updated, rotated, expires / 1000, absolute / 1000, claimed)
if #record >= NOT_BEFORE_AT then after = after .. record:sub(NOT_BEFORE_AT) end
if after ~= record then redis.call('HSET', data, field, after) end
if expires ~= before then
  -- include set_expiry
  redis.call('ZADD', sessions, expires, id)
  set_expiry(sessions, data)
end
return {word, micros, after, claims}
