-- Ends one session, whichever its type.
-- KEYS: 1 epoch, 2 gone, 3 endings, 4 user, 5… sessions and data of each type
-- ARGV: 1 clock, 2 trail, 3 check user, 4 caller (empty: not checked), 5 id,
--       6 cause, 7 by
-- Returns: ok, now | unknown | ended, cause | token_revoked, cause
--        | user_not_found | user_inactive

-- include lib
-- include guards
-- include find
-- include settle
-- include change
local endings, user = unpack(KEYS, 3)
local check, caller, id, cause, by = unpack(ARGV, 3)

local denied = refused(check, user) or revoked(caller, 6, 2)
if denied then return denied end
local at, record = find(id, 6, 2)
if not at then return missing(id) end
denied = over(record)
if denied then return denied[1] == 'ended' and denied or {'unknown'} end

if redis.call('ZREM', KEYS[at - 1], id) == 0 then return missing(id) end -- it only begins like one
erase(KEYS[at - 1], KEYS[at], {id})
settle(KEYS[at - 1], KEYS[at])
tell(endings, {id}, cause, by)
return {'ok', micros}
