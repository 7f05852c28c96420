-- Begins a session. At the cap it ends the least recently updated ones, as many
-- as are over, or refuses.
-- KEYS: 1 epoch, 2 gone, 3 endings, 4 user, 5 sessions, 6 data
-- ARGV: 1 clock, 2 trail, 3 hash that matched (empty: of no user here), 4 id,
--       5 lifetime, 6 absolute lifetime, 7 cap (empty: none), 8 evict, 9 info,
--       10 claims
-- Returns: ok, now, record, evicted | limit_reached
--        | user_not_found | user_inactive | unavailable

-- include lib
-- include guards
-- include settle
-- include change
-- include recency
local endings, user, sessions, data = unpack(KEYS, 3)
local hash, id, lifetime, absolute, cap, evict, info, claims = unpack(ARGV, 3)

if hash ~= '' then
  local active, password = unpack(redis.call('HMGET', user, 'active', 'password'))
  if password ~= hash then return {'user_not_found'} end
  if active ~= '1' then return {'user_inactive'} end
end
local expired, evicted = redis.call('ZRANGEBYSCORE', sessions, '-inf', ms), {}
if cap ~= '' and redis.call('ZCARD', sessions) - #expired >= tonumber(cap) then
  local ids, created, updated = live(sessions, data)
  local surplus = #ids - cap + 1
  if surplus > 0 and evict ~= '1' then return {'limit_reached'} end
  evicted = least_recent(surplus, ids, created, updated)
end

local expires, ends = math.floor((now + lifetime) / 1000), math.floor((now + absolute) / 1000)
local record = struct.pack(RECORD, 1, ms, micros, ms, expires, ends, claims ~= '' and 1 or 0)
if epoch > 0 then record = record .. struct.pack('>I7', epoch) end
local field = id:sub(1, FIELD)
-- The first write, as it is refused when memory is full. Should another session
-- have this one's fields, the next login draws another ID.
if redis.call('HSETNX', data, field, record) == 0 then return {'unavailable'} end
if info ~= '' then redis.call('HSET', data, field .. 'i', info) end
if claims ~= '' then redis.call('HSET', data, field .. 'c', claims) end
redis.call('ZADD', sessions, expires * 1000, id)
erase(sessions, data, expired)
erase(sessions, data, evicted)
settle(sessions, data)
if #evicted > 0 then tell(endings, evicted, 'evicted', id) end
return {'ok', micros, record, evicted}
