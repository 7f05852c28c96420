-- Writes a user of the directory, whole.
-- KEYS: 1 user, 2 users
-- ARGV: 1 id, 2 id in JSON, 3 name, 4 password, 5 active, 6 claims
-- Returns: ok, former name

local user, users = unpack(KEYS)
local id, json, name, password, active, claims = unpack(ARGV)

local former = redis.call('HGET', user, 'name') or ''

redis.call('HSET', user, 'id', json, 'name', name, 'password', password, 'active', active, 'claims', claims)
redis.call('SADD', users, id)
return {'ok', former}
