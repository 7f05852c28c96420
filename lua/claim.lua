-- Reserves a user name for a user who is about to be written. A reservation
-- that nobody confirms lapses.
-- KEYS: 1 name
-- ARGV: 1 user, 2 life, 3 stale (a holder who goes by another name by now)
-- Returns: ok | user_exists, holder

local name, user, life, stale = KEYS[1], unpack(ARGV)

local holder = redis.call('GET', name)
if holder == user then return {'ok'} end
if holder and redis.call('PTTL', name) >= 0 then return {'user_exists', ''} end
if holder and holder ~= stale then return {'user_exists', holder} end

redis.call('SET', name, user, 'PX', life)
return {'ok'}
