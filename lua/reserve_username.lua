-- Writes the reservation of a username if there is none, or in place of an invalid
-- one.
-- KEYS: 1 username
-- ARGV: 1 reservation, 2 invalid reservation (empty if none is known)
-- Returns: ok | user_exists, reservation

local username, reservation, invalid = KEYS[1], unpack(ARGV)

local stored = redis.call('GET', username)
if stored and stored ~= invalid then return {'user_exists', stored} end

redis.call('SET', username, reservation)
return {'ok'}
