-- Finds the sessions that a login with another credential revokes. Needs refusals.lua and
-- read_records.lua before it.

-- Returns the ids of the live sessions that were created with another credential, before
-- the given time, and appends them to all.
local function with_other_credential(sessions, data, all)
  local members, ids = redis.call('ZRANGEBYSCORE', sessions, '(' .. ms, '+inf'), {}
  for first = 1, #members, PAGE do
    local records = read_records(data, members, first)
    for i = 1, #records do
      local record = records[i]
      local other = record and record:sub(CREDENTIAL_AT, CREDENTIAL_AT + 3)
      if record and other ~= credential and other ~= NO_CREDENTIAL and not refuse_ended(record)
        and struct.unpack('>I6', record, CREATED_AT) < tonumber(before) then
        ids[#ids + 1], all[#all + 1] = members[first + i - 1], members[first + i - 1]
      end
    end
  end
  return ids
end
