-- Frees a user name if a user has it.
-- KEYS: 1 name
-- ARGV: 1 user
-- Returns: ok

local name, user = KEYS[1], ARGV[1]

if redis.call('GET', name) ~= user then return {'ok'} end

redis.call('DEL', name)
return {'ok'}
