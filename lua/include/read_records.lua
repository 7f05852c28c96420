-- Reads the records of many sessions. Needs revocation.lua before it, for CHUNK.

-- Returns the records of the members from the first-th on, at most CHUNK of them.
local function read_records(data, members, first)
  local fields = {}
  for i = first, math.min(first + CHUNK - 1, #members) do fields[#fields + 1] = members[i]:sub(1, FIELD) end
  return redis.call('HMGET', data, unpack(fields))
end
