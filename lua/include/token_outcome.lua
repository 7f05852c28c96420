-- Checks a refresh token. Needs terms.lua, refused_terms.lua, clamp.lua and refusals.lua before it.

-- Returns the code that session.Policy.Outcome returns for the token and a session's
-- record, and the cause of the codes ended, expired and replayed.
local function token_outcome(record)
  local _, generation, created, _, rotated, expires, absolute, _, secret = struct.unpack(RECORD, record)
  if presented_secret ~= secret then return 'unknown' end
  local refusal = refuse_ended(record)
  if refusal then return unpack(refusal) end
  local clamped, absolute_expires = clamp(created, rotated, expires, absolute)
  if now >= absolute_expires then return 'expired', 'absolute' end
  if now >= clamped then return 'expired', 'expired' end

  if presented == generation then return expiry == expires * 1000 and 'ok' or 'unknown' end
  if presented > generation then return now < expiry and 'healed' or 'unknown' end
  if presented == generation - 1 and now < rotated + window then return 'retried' end
  if detect == 1 then return 'replayed', 'replay' end
  return 'spent'
end
