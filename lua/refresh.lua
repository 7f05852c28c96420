-- Runs session.Policy.Refresh on one session.
-- KEYS: 1 not-before, 2 tombstones, 3 revocations, 4 sessions, 5 data, 6 user (only if the
--       terms say to check the user)
-- ARGV: 1 latest start, 2 revocation parameters, 3 id, 4 terms
-- Returns: ok, now, record, claims | healed, now, record, claims
--        | retried, now, record, claims, 1 if it comes from another network | throttled
--        | unknown | spent | ended, cause | expired, cause | replayed, cause | user_not_found, cause
--        | user_inactive, cause | credential_changed, cause | credential_changed

-- include prelude
local revocations, sessions, data = KEYS[3], KEYS[4], KEYS[5] -- faster than unpack, as is + 0 than tonumber
local id, terms = ARGV[3], ARGV[4]
-- include terms

local word, field = 'ok', id:sub(1, FIELD)
local record = redis.call('HGET', data, field)
local version, generation, created, updated, rotated, expires, absolute, claimed, secret, credential, created_under
if record and #record >= RECORD_SIZE then
  version, generation, created, updated, rotated, expires, absolute, claimed, secret, credential, created_under = struct.unpack(RECORD, record)
  expires, absolute = expires * 1000, absolute * 1000
end
local active, claims, moved
if check == 1 then
  active, credential_now, claims = unpack(redis.call('HMGET', KEYS[6], 'active', 'credential', 'claims'))
  credential_now = credential_now or NO_CREDENTIAL
end

-- Nearly always the token is the current one of a live session, and then no function
-- has to be defined. No session expires after its absolute time, so the expiry alone
-- decides here.
local since, before = record and (extend > 0 and rotated or created), expires
local usual = presented == generation and expiry == expires and presented_secret == secret and created_under >= not_before
  and now < expires and expires <= since + lifetime and absolute <= created + absolute_lifetime
  and (check == 0 or active == '1') and (credential_now == credential or credential_now == NO_CREDENTIAL)
if not usual then
  -- include guard
  -- include refusals
  -- include refused_terms
  -- include clamp
  -- include token_outcome
  -- include credential
  -- include set_expiry
  -- include revocation
  -- include repeat
  -- include unusual_refresh
end

if check == 0 and claimed == 1 then claims = redis.call('HGET', data, field .. 'c') end
if word == 'retried' then return {word, micros, record, claims or false, moved} end
local extended = expires < absolute and expires < now + extend
if extended then expires = math.min(math.floor((now + lifetime) / 1000) * 1000, absolute) end
-- If the expiry has changed, the token that was presented no longer fits the record.
local form, size = RECORD, RECORD_SIZE
if extended or rotate == 1 or expires ~= expiry then
  generation, rotated, form, size = generation + 1, ms, REACHED, REACHED_SIZE
end
if update == 1 then updated = micros > updated and micros or updated + 1 end -- never moves back, even if the clock does
local after = struct.pack(form, version, generation, created, updated, rotated, expires / 1000, absolute / 1000, claimed, secret, credential, created_under, reached)
if #record > size then after = after .. record:sub(size + 1) end
if after ~= record then
  redis.call('HSET', data, field, after)
else
  -- include guard
end
if expires ~= before then
  -- include set_expiry
  redis.call('ZADD', sessions, expires, id)
  set_expiry(sessions, data)
end
return {word, micros, after, claims}
