-- Reads the records of many sessions.

-- How many sessions a script reads at once. One that may concern more of them works
-- without reading them, or returns them page by page.
local PAGE = 500

-- Returns the records of the members from the first-th on, at most PAGE of them; false
-- for one that is missing or can't be read.
local function read_records(data, members, first)
  local fields = {}
  for i = first, math.min(first + PAGE - 1, #members) do fields[#fields + 1] = members[i]:sub(1, FIELD) end
  if #fields == 0 then return fields end
  local records = redis.call('HMGET', data, unpack(fields))
  for i = 1, #records do records[i] = records[i] and #records[i] >= RECORD_SIZE and records[i] end
  return records
end
