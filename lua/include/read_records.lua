-- Reads the records of many sessions. Needs revocation.lua before it, for CHUNK.

-- Returns the records of the members from the first-th on, at most CHUNK of them; false
-- for one that is missing or can't be read.
local function read_records(data, members, first)
  local fields = {}
  for i = first, math.min(first + CHUNK - 1, #members) do fields[#fields + 1] = members[i]:sub(1, FIELD) end
  local records = redis.call('HMGET', data, unpack(fields))
  for i = 1, #records do records[i] = records[i] and #records[i] >= RECORD_SIZE and records[i] end
  return records
end
