-- Writes an account of the directory as a whole, in place of the one that the
-- caller read. A new name requires the reservation key, which is deleted.
-- KEYS: 1 user, 2 users, 3 reservation key
-- ARGV: 1 id, 2 id in JSON, 3 name, 4 password, 5 active, 6 claims, 7 former id in
--       JSON (empty, like the next four, if there was no account), 8 name,
--       9 password, 10 active, 11 claims
-- Returns: ok | user_exists | user_not_found

local user, users, reservation = unpack(KEYS)
local id, json, name, password, active, claims = unpack(ARGV)
local was_json, was_name, was_password, was_active, was_claims = unpack(ARGV, 7)

local stored = redis.call('HMGET', user, 'id', 'name', 'password', 'active', 'claims')
for i, was in ipairs({was_json, was_name, was_password, was_active, was_claims}) do
  if (stored[i] or '') ~= was then
    if was_json == '' then return {'user_exists'} end
    return {'user_not_found'}
  end
end
local renamed = was_json == '' or was_name ~= name
if renamed and redis.call('EXISTS', reservation) == 0 then return {'user_exists'} end

redis.call('DEL', user, reservation) -- a script that has deleted something may write when memory is full
redis.call('HSET', user, 'id', json, 'name', name, 'password', password, 'active', active, 'claims', claims)
redis.call('SADD', users, id)
return {'ok'}
