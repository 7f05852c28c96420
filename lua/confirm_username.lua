-- Confirms that a user has the name that they reserved. If they don't, cancels the
-- reservation by deleting its key, so that it can't give them the name later.
-- KEYS: 1 user, 2 reservation key
-- ARGV: 1 username
-- Returns: ok | user_not_found

local user, reservation = unpack(KEYS)
local username = ARGV[1]

if redis.call('HGET', user, 'name') == username then return {'ok'} end

redis.call('DEL', reservation)
return {'user_not_found'}
