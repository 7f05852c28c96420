-- Frees a user name if a claim to it is still the one that is there.
-- KEYS: 1 name
-- ARGV: 1 claim
-- Returns: ok

local name, claim = KEYS[1], ARGV[1]

if redis.call('GET', name) ~= claim then return {'ok'} end

redis.call('DEL', name)
return {'ok'}
