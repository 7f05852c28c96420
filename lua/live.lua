-- Reports whether a session is live, whatever its type. Changes nothing.
-- KEYS: 1 not-before, 2 tombstones, 3… data of each type
-- ARGV: 1 clock, 2 revocation parameters, 3 id
-- Returns: ok | unknown | ended, cause | expired, cause

-- include prelude
-- include refusals
-- include find_session
local id = ARGV[3]

local at, record = find_session(id, 3, 1)
if not at then return refuse_missing(id) end
return refuse_ended(record) or {'ok'}
