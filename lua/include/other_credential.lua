-- Finds the sessions that a login with another credential revokes. Needs refusals.lua
-- before it.

-- Returns the ids of the live sessions that were created with another credential.
local function with_other_credential(sessions, data)
  local ids = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', sessions, '(' .. ms, '+inf')) do
    local record = redis.call('HGET', data, id:sub(1, FIELD))
    local other = record and record:sub(CREDENTIAL_AT, CREDENTIAL_AT + 3)
    if record and other ~= credential and other ~= NO_CREDENTIAL and not refuse_ended(record) then ids[#ids + 1] = id end
  end
  return ids
end
