-- Returns a page of what is stored of a user's sessions, and after which session the next
-- page begins. Package redisstore drops the sessions that are no longer live, which costs
-- less there. Changes nothing.
-- KEYS: 1 not-before, 2 tombstones, 3 user, 4… sessions and data of each type, the
--       given ones first
-- ARGV: 1 latest start, 2 revocation parameters, 3 check user, 4 caller (empty means not
--       checked), 5 number of types, 6 number of types before that of the last session of the
--       former page, 7 its expiry (empty means that this is the first page), 8 its id
-- Returns: ok, now, not-before, the three arguments for the next page, and of each type the
--          sessions and all of their data, or record, info and claims of each in the page
--        | token_revoked, cause | user_not_found | user_inactive

-- include prelude
-- include guard
-- include refusals
-- include find_session
-- include sorts_before
-- include page
local user = KEYS[3]
local check, caller, types, done, expiry, last = unpack(ARGV, 3)

local refusal = refuse_user(check, user) or refuse_caller(caller, 5, 2)
if refusal then return refusal end

local reply, room = {'ok', micros, not_before, {}}, LIST_PAGE
for k = 4, 2 + 2 * types, 2 do
  local ids, fields, values = {}, {}, {}
  if k >= 4 + 2 * done and room > 0 then
    local first = 0
    if expiry ~= '' and k == 4 + 2 * done then first = rank_after(KEYS[k], tonumber(expiry), last) end
    ids = redis.call('ZRANGE', KEYS[k], first, first + room - 1)
    room = room - #ids
    if first == 0 and room > 0 then fields = redis.call('HGETALL', KEYS[k + 1]) else values = read_values(KEYS[k + 1], ids) end
    if room == 0 then reply[4] = {k / 2 - 2, redis.call('ZSCORE', KEYS[k], ids[#ids]), ids[#ids]} end
  end
  reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = ids, fields, values
end
return reply
