-- Confirms that a user has the name that he claimed. If he has not, the permit
-- of the claim goes, so that he can't be given the name by it any more.
-- KEYS: 1 user, 2 permit
-- ARGV: 1 name
-- Returns: ok | user_not_found

local user, permit = unpack(KEYS)
local name = ARGV[1]

if redis.call('HGET', user, 'name') == name then return {'ok'} end

redis.call('DEL', permit)
return {'user_not_found'}
