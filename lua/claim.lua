-- Writes a claim to a user name, in the place of none or of the one that is void.
-- KEYS: 1 name
-- ARGV: 1 claim, 2 void (empty: none is known to be)
-- Returns: ok | user_exists, held

local name, claim, void = KEYS[1], unpack(ARGV)

local held = redis.call('GET', name)
if held and held ~= void then return {'user_exists', held} end

redis.call('SET', name, claim)
return {'ok'}
