-- Writes an account of the directory in place of the one that the caller read. Fields
-- of its hash that this version does not know stay as they are. A new name requires
-- the reservation key, which is deleted.
-- KEYS: 1 user, 2 users, 3 reservation key
-- ARGV: 1 id, 2 id in JSON, 3 name, 4 password, 5 active, 6 claims, 7 credential,
--       8 former id in JSON (empty, like the next five, if there was no account),
--       9 name, 10 password, 11 active, 12 claims, 13 credential
-- Returns: ok | user_exists | user_not_found

local user, users, reservation = unpack(KEYS)
local id, json, name, password, active, claims, credential = unpack(ARGV)
local was_json, was_name, was_password, was_active, was_claims, was_credential = unpack(ARGV, 8)

local stored = redis.call('HMGET', user, 'id', 'name', 'password', 'active', 'claims', 'credential')
if stored[1] and not stored[6] then stored[6] = '\0\0\0\0' end -- an account without a credential
for i, was in ipairs({was_json, was_name, was_password, was_active, was_claims, was_credential}) do
  if (stored[i] or '') ~= was then
    if was_json == '' then return {'user_exists'} end
    return {'user_not_found'}
  end
end
local renamed = was_json == '' or was_name ~= name
if renamed and not redis.call('GET', reservation) then return {'user_exists'} end

-- A script that begins with DEL may write when memory is full. The account is written last:
-- if Redis refuses one of these commands, the account is as before.
redis.call('DEL', reservation)
redis.call('SADD', users, id)
redis.call('HSET', user, 'id', json, 'name', name, 'password', password, 'active', active, 'claims', claims, 'credential', credential)
return {'ok'}
