-- Revokes one session, whatever its type.
-- KEYS: 1 not-before, 2 tombstones, 3 revocations, 4 user, 5… sessions and data of
--       each type
-- ARGV: 1 latest start, 2 revocation parameters, 3 check user, 4 caller (empty means not
--       checked), 5 id, 6 cause, 7 by
-- Returns: ok, now | unknown | ended, cause | token_revoked, cause
--        | user_not_found | user_inactive

-- include prelude
-- include guard
-- include refusals
-- include find_session
-- include set_expiry
-- include revocation
local revocations, user = unpack(KEYS, 3)
local check, caller, id, cause, by = unpack(ARGV, 3)

local refusal = refuse_user(check, user) or refuse_caller(caller, 6, 2)
if refusal then return refusal end
local at, record = find_session(id, 6, 2)
if not at then return refuse_missing(id) end
refusal = refuse_ended(record)
if refusal then return refusal[1] == 'ended' and refusal or {'unknown'} end

if not redis.call('ZSCORE', KEYS[at - 1], id) then return refuse_missing(id) end -- another session has the same fields

record_revocation(revocations, {id}, cause, by)
delete_sessions(KEYS[at - 1], KEYS[at], {id})
set_expiry(KEYS[at - 1], KEYS[at])
return {'ok', micros}
