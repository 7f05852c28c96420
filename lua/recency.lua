-- Which sessions a login ends; guards.lua and change.lua come before it.

-- Bytes are compared one by one: Lua's < on strings goes by the locale.
local function lower(a, b)
  for i = 1, math.min(#a, #b) do
    if a:byte(i) ~= b:byte(i) then return a:byte(i) < b:byte(i) end
  end
  return #a < #b
end

-- The live sessions' ids, and when each was created and updated.
local function live(sessions, data)
  local held = redis.call('ZRANGEBYSCORE', sessions, '(' .. ms, '+inf')
  local ids, created, updated = {}, {}, {}
  for first = 1, #held, CHUNK do
    local fields = {}
    for i = first, math.min(first + CHUNK - 1, #held) do fields[#fields + 1] = held[i]:sub(1, FIELD) end
    local records = redis.call('HMGET', data, unpack(fields))
    for i = 1, #records do
      local record, n = records[i], #ids + 1
      if record and not (epoch > 0 and over(record)) then
        ids[n], created[n], updated[n] = held[first + i - 1], struct.unpack('>I6I7', record, 5)
      end
    end
  end
  return ids, created, updated
end

-- The ids that session.LessRecent puts first, as many as are surplus. It is
-- one as a rule, and finding that costs less than sorting.
local function least_recent(surplus, ids, created, updated)
  local order, chosen = {}, {}
  local function before(a, b)
    if updated[a] ~= updated[b] then return updated[a] < updated[b] end
    if created[a] ~= created[b] then return created[a] < created[b] end
    return lower(ids[a], ids[b])
  end
  for i = 1, #ids do
    order[i] = i
    if surplus == 1 and before(i, order[1]) then order[1], order[i] = i, order[1] end
  end
  if surplus > 1 then table.sort(order, before) end
  for i = 1, surplus do chosen[i] = ids[order[i]] end
  return chosen
end
