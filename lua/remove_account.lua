-- Removes an account from the directory.
-- KEYS: 1 user, 2 users
-- ARGV: 1 id
-- Returns: ok, name | user_not_found

local user, users = unpack(KEYS)
local id = ARGV[1]

local name = redis.call('HGET', user, 'name')
if not name then return {'user_not_found'} end

redis.call('SREM', users, id) -- first: a Redis user without the right to it changes nothing
redis.call('DEL', user)
return {'ok', name}
