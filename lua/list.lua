-- Gives what is kept of a user's sessions; package redisstore drops those that
-- are over, which costs less there. Changes nothing.
-- KEYS: 1 epoch, 2 gone, 3 user, 4… sessions and data of each type, those
--       asked for first
-- ARGV: 1 clock, 2 trail, 3 check user, 4 caller (empty: not checked),
--       5 types asked for
-- Returns: ok, now, epoch, sessions and data of each type
--        | token_revoked, cause | user_not_found | user_inactive

-- include lib
-- include guards
-- include find
local user = KEYS[3]
local check, caller, types = unpack(ARGV, 3)

local denied = refused(check, user) or revoked(caller, 5, 2)
if denied then return denied end

local reply = {'ok', micros, epoch}
for k = 4, 2 + 2 * types, 2 do
  reply[#reply + 1] = redis.call('ZRANGE', KEYS[k], 0, -1)
  reply[#reply + 1] = redis.call('HGETALL', KEYS[k + 1])
end
return reply
