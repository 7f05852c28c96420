-- Returns what is stored of a user's sessions. Package redisstore drops those that
-- are no longer live, which costs less there. Changes nothing.
-- KEYS: 1 not-before, 2 tombstones, 3 user, 4… sessions and data of each type, the
--       given ones first
-- ARGV: 1 latest start, 2 revocation parameters, 3 check user, 4 caller (empty means not
--       checked), 5 number of types
-- Returns: ok, now, not-before, sessions and data of each type
--        | token_revoked, cause | user_not_found | user_inactive

-- include prelude
-- include guard
-- include refusals
-- include find_session
local user = KEYS[3]
local check, caller, types = unpack(ARGV, 3)

local refusal = refuse_user(check, user) or refuse_caller(caller, 5, 2)
if refusal then return refusal end

local reply = {'ok', micros, not_before}
for k = 4, 2 + 2 * types, 2 do
  reply[#reply + 1] = redis.call('ZRANGE', KEYS[k], 0, -1)
  reply[#reply + 1] = redis.call('HGETALL', KEYS[k + 1])
end
return reply
