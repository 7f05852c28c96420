-- Returns a refusal if the session was created with another credential than the user
-- has now, which is credential_now, or nil.
local function refuse_credential(record)
  local credential = record:sub(CREDENTIAL_AT, CREDENTIAL_AT + 3)
  local known = credential_now ~= NO_CREDENTIAL and credential ~= NO_CREDENTIAL
  if known and credential ~= credential_now then return {'credential_changed'} end
end
