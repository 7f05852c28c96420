-- Checks a refresh that refresh.lua has not recognized as a usual one. Ends the script with
-- the refusal if there is one, and otherwise sets the values with which the refresh goes on.
-- Needs guard.lua, refusals.lua, clamp.lua, token_outcome.lua, credential.lua, set_expiry.lua,
-- revocation.lua and repeat.lua before it.

-- Returns the refusal of a refresh, after it has revoked or deleted the session if the
-- refusal means that. If there is none, it returns nil and the token's outcome.
local function refuse_refresh(record)
  if not record or #record < RECORD_SIZE then return refuse_missing(id) end
  local word, cause = token_outcome(record)
  if word == 'ok' or word == 'healed' or word == 'retried' then
    local refusal = check == 1 and refuse_inactive(active) or refuse_credential(record)
    if not refusal then return nil, word end
    if check == 0 and tentative == 1 then return refusal end
    word, cause = refusal[1], 'account'
  end
  local revoked = cause == 'replay' or cause == 'account'
  if revoked or word == 'expired' then
    if revoked then record_revocation(revocations, {id}, cause, '') end
    delete_sessions(sessions, data, {id})
    set_expiry(sessions, data)
  end
  return {word, cause}
end

local refusal
refusal, word = refuse_refresh(record)
if refusal then return refusal end
if word == 'retried' then
  record, moved = count_repeat(record)
  if not record then return {'throttled'} end
  redis.call('HSET', data, field, record)
else
  if credential == NO_CREDENTIAL then credential = credential_now end
  expires, absolute = clamp(created, rotated, expires / 1000, absolute / 1000)
end
if word == 'healed' then
  generation = presented
  expires = math.max(expires, math.min(expiry, absolute, math.floor(((extend > 0 and now or created) + lifetime) / 1000) * 1000))
end
