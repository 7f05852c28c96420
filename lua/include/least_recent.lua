-- Chooses the sessions that a login evicts. Needs clamp.lua, refusals.lua and
-- read_records.lua before it.

-- Reports whether a sorts before b. Bytes are compared one by one, because Lua's <
-- on strings follows the locale.
local function sorts_before(a, b)
  for i = 1, math.min(#a, #b) do
    if a:byte(i) ~= b:byte(i) then return a:byte(i) < b:byte(i) end
  end
  return #a < #b
end

-- Returns the ids of the sessions that are live under the policy, except some, and
-- when each was created and updated.
local function live_sessions(sessions, data, without)
  local members = redis.call('ZRANGEBYSCORE', sessions, '(' .. ms, '+inf')
  local ids, created, updated, left_out = {}, {}, {}, {}
  for _, id in ipairs(without) do left_out[id] = true end
  for first = 1, #members, CHUNK do
    local records = read_records(data, members, first)
    for i = 1, #records do
      local record, n = records[i], #ids + 1
      if record and not left_out[members[first + i - 1]] and not (not_before > 0 and refuse_ended(record)) then
        local created_at, updated_at, rotated, expires, absolute = struct.unpack('>I6I7I6I4I4', record, CREATED_AT)
        if now < clamp(created_at, rotated, expires, absolute) then
          ids[n], created[n], updated[n] = members[first + i - 1], created_at, updated_at
        end
      end
    end
  end
  return ids, created, updated
end

-- Returns the first ids in the order of session.ByUpdated, as many as are surplus.
-- Usually it is one, and finding that one costs less than sorting.
local function least_recent(surplus, ids, created, updated)
  local order, chosen = {}, {}
  local function before(a, b)
    if updated[a] ~= updated[b] then return updated[a] < updated[b] end
    if created[a] ~= created[b] then return created[a] < created[b] end
    return sorts_before(ids[a], ids[b])
  end
  for i = 1, #ids do
    order[i] = i
    if surplus == 1 and before(i, order[1]) then order[1], order[i] = i, order[1] end
  end
  if surplus > 1 then table.sort(order, before) end
  for i = 1, surplus do chosen[i] = ids[order[i]] end
  return chosen
end
