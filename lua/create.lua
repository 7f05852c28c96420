-- Begins a session. At the cap it ends the least recently updated ones, as many
-- as are over, or refuses.
-- KEYS: 1 epoch, 2 gone, 3 endings, 4 user, 5 sessions, 6 data
-- ARGV: 1 clock, 2 trail, 3 check user, 4 id, 5 lifetime, 6 absolute lifetime,
--       7 cap (empty: none), 8 evict, 9 info, 10 claims
-- Returns: ok, now, record, evicted | limit_reached
--        | user_not_found | user_inactive
local endings, user, sessions, data = unpack(KEYS, 3)
local check, id, lifetime, absolute, cap, evict, info, claims = unpack(ARGV, 3)

-- Bytes are compared one by one: Lua's < on strings goes by the locale.
local function lower(a, b)
  for i = 1, math.min(#a, #b) do
    if a:byte(i) ~= b:byte(i) then return a:byte(i) < b:byte(i) end
  end
  return #a < #b
end

-- The live sessions' ids, the least recent first.
local function by_recency()
  local ids = redis.call('ZRANGEBYSCORE', sessions, '(' .. ms, '+inf')
  local live, updated, created, _ = {}, {}, {}, nil
  for first = 1, #ids, CHUNK do
    local last = math.min(first + CHUNK - 1, #ids)
    for i, record in ipairs(redis.call('HMGET', data, unpack(ids, first, last))) do
      local one = ids[first + i - 1]
      if record and not over(record) then
        live[#live + 1] = one
        _, created[one], updated[one] = struct.unpack(RECORD, record)
      end
    end
  end
  table.sort(live, function(a, b)
    if updated[a] ~= updated[b] then return updated[a] < updated[b] end
    if created[a] ~= created[b] then return created[a] < created[b] end
    return lower(a, b)
  end)
  return live
end

local denied = refused(check, user)
if denied then return denied end
local expired, evicted = redis.call('ZRANGEBYSCORE', sessions, '-inf', ms), {}
if cap ~= '' and redis.call('ZCARD', sessions) - #expired >= tonumber(cap) then
  local live = by_recency()
  if #live >= tonumber(cap) and evict ~= '1' then return {'limit_reached'} end
  for i = 1, #live - cap + 1 do evicted[i] = live[i] end
end

local expires = math.floor((now + lifetime) / 1000) * 1000
local ends = math.floor((now + absolute) / 1000) * 1000
local record = struct.pack(RECORD, 1, ms, micros, ms, expires, ends, epoch)
local fields = {id, record}
if info ~= '' then fields[#fields + 1], fields[#fields + 2] = id .. 'i', info end
if claims ~= '' then fields[#fields + 1], fields[#fields + 2] = id .. 'c', claims end
redis.call('HSET', data, unpack(fields)) -- first, as it is refused when memory is full
redis.call('ZADD', sessions, expires, id)
erase(sessions, data, expired)
erase(sessions, data, evicted)
settle(sessions, data)
if #evicted > 0 then tell(endings, evicted, 'evicted', id) end
return {'ok', micros, record, evicted}
