-- Makes a reserved user name a user's for good.
-- KEYS: 1 name
-- ARGV: 1 user
-- Returns: ok | user_exists

local name, user = KEYS[1], ARGV[1]

if redis.call('GET', name) ~= user then return {'user_exists'} end

redis.call('PERSIST', name)
return {'ok'}
