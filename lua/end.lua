-- Ends one session, whichever its type.
-- KEYS: 1 epoch, 2 user, 3 gone, 4 endings, 5… sessions and data of each type
-- ARGV: 1 clock, 2 check user, 3 trail, 4 caller (empty: not checked), 5 id,
--       6 cause, 7 by
-- Returns: ok, now | unknown | ended, cause | token_revoked
--        | user_not_found | user_inactive
local epoch_key, user, gone, endings = unpack(KEYS)
local given, check, trail, caller, id, cause, by = unpack(ARGV)

local denied = refused(check, user)
if denied then return denied end
local now, real = clock(given)
local epoch = tonumber(redis.call('GET', epoch_key) or 0)
if revoked(caller, 6, 2, now, epoch) then return {'token_revoked'} end
local at, record = find(id, 6, 2)
if not at then return missing(gone, id) end
denied = over(record, now, epoch)

erase(KEYS[at - 1], KEYS[at], {id})
settle(KEYS[at - 1], KEYS[at])
if denied then return denied[1] == 'ended' and denied or {'unknown'} end
tell(gone, endings, trail, now, real, {id}, cause, by)
return {'ok', micros(now)}
