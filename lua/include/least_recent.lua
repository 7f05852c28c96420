-- Chooses the sessions that a login evicts. Needs clamp.lua, refusals.lua, read_records.lua
-- and sorts_before.lua before it.

-- Returns the ids of the sessions that are live under the policy, except some, when each
-- was created and updated, and when the newest was updated.
local function live_sessions(sessions, data, without)
  local members = redis.call('ZRANGEBYSCORE', sessions, '(' .. ms, '+inf')
  local ids, created, updated, newest, left_out = {}, {}, {}, 0, {}
  for _, id in ipairs(without) do left_out[id] = true end
  for first = 1, #members, PAGE do
    local records = read_records(data, members, first)
    for i = 1, #records do
      local record, n = records[i], #ids + 1
      if record and not left_out[members[first + i - 1]] and not (not_before > 0 and refuse_ended(record)) then
        local created_at, updated_at, rotated, expires, absolute = struct.unpack('>I6I7I6I4I4', record, CREATED_AT)
        if now < clamp(created_at, rotated, expires, absolute) then
          ids[n], created[n], updated[n] = members[first + i - 1], created_at, updated_at
          if updated_at > newest then newest = updated_at end
        end
      end
    end
  end
  return ids, created, updated, newest
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
