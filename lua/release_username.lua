-- Deletes the reservation of a username if it is still the given one.
-- KEYS: 1 username
-- ARGV: 1 reservation
-- Returns: ok

local username, reservation = KEYS[1], ARGV[1]

if redis.call('GET', username) ~= reservation then return {'ok'} end

redis.call('DEL', username)
return {'ok'}
