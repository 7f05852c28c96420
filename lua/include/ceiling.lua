-- Makes room for a login at the ceiling of a type without a maximum, or ends the script with
-- the refusal. It looks only at the sessions that expire first, a page of them, so that its
-- cost does not depend on the number. Needs clamp.lua, refusals.lua and read_records.lua
-- before it.
local first, left_out, live = redis.call('ZRANGEBYSCORE', sessions, '(' .. ms, '+inf', 'LIMIT', 0, PAGE), {}, {}
local number = redis.call('ZCOUNT', sessions, '(' .. ms, '+inf') - #own
for _, id in ipairs(own) do left_out[id] = true end
for i, record in ipairs(read_records(data, first, 1)) do
  local ended = not record or refuse_ended(record)
  if not ended then
    local created_at, _, rotated, expires, absolute = struct.unpack('>I6I7I6I4I4', record, CREATED_AT)
    ended = now >= clamp(created_at, rotated, expires, absolute)
  end
  if not left_out[first[i]] then
    if ended then expired[#expired + 1], number = first[i], number - 1 else live[#live + 1] = first[i] end
  end
end
if number >= MAX_SESSIONS and evict ~= '1' and #live > 0 then return {'limit_reached'} end -- a page of ended sessions has room
for i = 1, math.min(number - MAX_SESSIONS + 1, #live) do evicted[i] = live[i] end
