-- Returns a refusal if the session was created with another credential than the user
-- has now, or nil. The credential is credential_now; false and '' mean none.
local function refuse_credential(record)
  local credential = record:sub(CREDENTIAL_AT, CREDENTIAL_AT + 3)
  local known = credential_now and credential_now ~= '' and credential_now ~= NO_CREDENTIAL and credential ~= NO_CREDENTIAL
  if known and credential ~= credential_now then return {'credential_changed'} end
end
