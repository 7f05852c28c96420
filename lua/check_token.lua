-- Checks a refresh token as a refresh does. Changes nothing.
-- KEYS: 1 not-before, 2 tombstones, 3 user, 4 data
-- ARGV: 1 latest start, 2 revocation parameters, 3 id, 4 terms
-- Returns: ok, now | unknown | spent | ended, cause | expired, cause
--        | user_not_found | user_inactive | credential_changed

-- include prelude
-- include guard
-- include refusals
local user, data = unpack(KEYS, 3)
local id, terms = unpack(ARGV, 3)
-- include terms
-- include refused_terms
-- include clamp
-- include token_outcome
-- include credential

local record = redis.call('HGET', data, id:sub(1, FIELD))
if not record or #record < RECORD_SIZE then return refuse_missing(id) end
local word, cause = token_outcome(record)
if word == 'retried' or word == 'replayed' then return {'spent'} end
if word ~= 'ok' and word ~= 'healed' then return {word, cause} end
if check == 1 then
  local active, credential = unpack(redis.call('HMGET', user, 'active', 'credential'))
  local refusal = refuse_inactive(active)
  if refusal then return refusal end
  credential_now = credential or NO_CREDENTIAL
end
return refuse_credential(record) or {'ok', micros}
