-- Reports whether a session is live, whatever its type. Changes nothing.
-- KEYS: 1 not-before, 2 tombstones, 3… data of each type
-- ARGV: 1 latest start, 2 revocation parameters, 3 id, 4 the user's credential
-- Returns: ok, now | unknown | ended, cause | expired, cause | credential_changed

-- include prelude
-- include guard
-- include refusals
-- include find_session
local id, credential_now = unpack(ARGV, 3)
-- include credential

local at, record = find_session(id, 3, 1)
if not at then return refuse_missing(id) end
return refuse_ended(record) or refuse_credential(record) or {'ok', micros}
