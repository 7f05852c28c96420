-- Gives what is kept of a user's sessions; package redisstore drops those that
-- are over, which costs less there. Changes nothing.
-- KEYS: 1 epoch, 2 user, 3… data of each type, those asked for first
-- ARGV: 1 clock, 2 check user, 3 caller (empty: not checked), 4 types asked for
-- Returns: ok, now, epoch, data of each type | token_revoked
--        | user_not_found | user_inactive
local epoch_key, user = unpack(KEYS)
local given, check, caller, types = unpack(ARGV)

local denied = refused(check, user)
if denied then return denied end
local now = clock(given)
local epoch = tonumber(redis.call('GET', epoch_key) or 0)
if revoked(caller, 3, 1, now, epoch) then return {'token_revoked'} end

local reply = {'ok', micros(now), epoch}
for k = 3, 2 + types do
  reply[#reply + 1] = redis.call('HGETALL', KEYS[k])
end
return reply
