-- Revokes more sessions than a script reads at once. Needs refusals.lua, read_records.lua,
-- set_expiry.lua and revocation.lua before it.

-- Returns the fields of a session in a data hash, in the order of HSET. Their names are the
-- first characters of the session's ID, alone or with one letter after them.
local function fields_of(data, id)
  local names, fields = {id:sub(1, FIELD)}, {}
  for letter = string.byte('a'), string.byte('z') do names[#names + 1] = names[1] .. string.char(letter) end
  for i, value in ipairs(redis.call('HMGET', data, unpack(names))) do
    if value then fields[#fields + 1], fields[#fields + 2] = names[i], value end
  end
  return fields
end

-- Appends to ids the live sessions of a type that expire last, except one: no more than can
-- have a tombstone.
local function append_last(ids, sessions, data, keep)
  local members = redis.call('ZREVRANGE', sessions, 0, MAX_TOMBSTONES)
  for i, record in ipairs(read_records(data, members, 1)) do
    if record and members[i] ~= keep and not refuse_ended(record) then ids[#ids + 1] = members[i] end
  end
end

-- Revokes the sessions in KEYS[first] to KEYS[last], two keys for each type, except the
-- session `keep`, whose record is in the data hash KEYS[at]. If there is none, keep is
-- empty. Returns how many sessions were live; those that were revoked with their app count
-- as live here. UNLINK leaves the memory to another thread of Redis, so the time that this
-- takes does not depend on the number. The session is written back, and not left in place,
-- because nothing else finds the others in a time that does not depend on it.
local function revoke_all(revocations, first, last, cause, by, keep, at)
  local number, ids, kept = 0, {}, nil
  for k = first, last, 2 do
    number = number + redis.call('ZCOUNT', KEYS[k], '(' .. ms, '+inf')
    append_last(ids, KEYS[k], KEYS[k + 1], keep)
    if k + 1 == at then kept, number = fields_of(KEYS[at], keep), number - 1 end
  end
  if number > 0 then record_revocation(revocations, ids, cause, by, '*' .. keep) end
  for k = first, last, 2 do redis.call('UNLINK', KEYS[k], KEYS[k + 1]) end
  if kept then
    redis.call('HSET', KEYS[at], unpack(kept))
    redis.call('ZADD', KEYS[at - 1], struct.unpack('>I4', kept[2], EXPIRES_AT) * 1000, keep)
    set_expiry(KEYS[at - 1], KEYS[at])
  end
  return number
end
