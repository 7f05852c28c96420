-- Writes a user of the directory, whole, in the place of the one who was read.
-- Another name than his takes the permit of a claim to it, which is used up.
-- KEYS: 1 user, 2 users, 3 permit
-- ARGV: 1 id, 2 id in JSON, 3 name, 4 password, 5 active, 6 claims, 7 the former
--       id in JSON (empty, as the next four: nobody), 8 name, 9 password,
--       10 active, 11 claims
-- Returns: ok | user_exists | user_not_found

local user, users, permit = unpack(KEYS)
local id, json, name, password, active, claims = unpack(ARGV)
local was_json, was_name, was_password, was_active, was_claims = unpack(ARGV, 7)

local held = redis.call('HMGET', user, 'id', 'name', 'password', 'active', 'claims')
for i, was in ipairs({was_json, was_name, was_password, was_active, was_claims}) do
  if (held[i] or '') ~= was then
    if was_json == '' then return {'user_exists'} end
    return {'user_not_found'}
  end
end
local renamed = was_json == '' or was_name ~= name
if renamed and redis.call('EXISTS', permit) == 0 then return {'user_exists'} end

redis.call('DEL', user, permit) -- a script that has deleted may write when memory is full
redis.call('HSET', user, 'id', json, 'name', name, 'password', password, 'active', active, 'claims', claims)
redis.call('SADD', users, id)
return {'ok'}
