-- Revokes the sessions of the given types, except one. If there are more than it reads at
-- once, it returns their number instead of their IDs.
-- KEYS: 1 not-before, 2 tombstones, 3 revocations, 4 user, 5… sessions and data of
--       each type, the given ones first
-- ARGV: 1 latest start, 2 revocation parameters, 3 check user, 4 caller (empty means not
--       checked), 5 number of types, 6 cause, 7 by, 8 keep (empty means none),
--       9 terms of its token
-- Returns: ok, now, revoked | ok, now, none, number | unknown | token_revoked, cause
--        | user_not_found | user_inactive

-- include prelude
-- include guard
-- include refusals
-- include find_session
-- include read_records
-- include set_expiry
-- include revocation
-- include revoke_all
local revocations, user = unpack(KEYS, 3)
local check_user, caller, types, cause, by, keep, terms = unpack(ARGV, 3)
-- include terms
-- include refused_terms
-- include clamp
-- include token_outcome

local refusal = refuse_user(check_user, user)
if refusal then return refusal end
local at, record
if keep ~= '' then
  at, record = find_session(keep, 6, 2)
  local word = record and token_outcome(record)
  if word ~= 'ok' and word ~= 'healed' and word ~= 'retried' then return {'unknown'} end
end
refusal = refuse_caller(caller, 6, 2)
if refusal then return refusal end

local stored, revoked, of_type = 0, {}, {}
for k = 5, 4 + 2 * types, 2 do stored = stored + redis.call('ZCARD', KEYS[k]) end
if stored > PAGE then
  return {'ok', micros, revoked, revoke_all(revocations, 5, 4 + 2 * types, cause, by, keep, at)}
end
for k = 5, 4 + 2 * types, 2 do
  local ids = {}
  for _, id in ipairs(redis.call('ZRANGE', KEYS[k], 0, -1)) do
    local record = id ~= keep and redis.call('HGET', KEYS[k + 1], id:sub(1, FIELD))
    if record and (#record < RECORD_SIZE or not refuse_ended(record)) then -- one that can't be read is deleted as well
      ids[#ids + 1], revoked[#revoked + 1] = id, id
    end
  end
  of_type[k] = ids
end

if #revoked > 0 then record_revocation(revocations, revoked, cause, by) end
for k = 5, 4 + 2 * types, 2 do
  delete_sessions(KEYS[k], KEYS[k + 1], of_type[k])
  set_expiry(KEYS[k], KEYS[k + 1])
end
return {'ok', micros, revoked}
