-- Tells whether one session is, whichever its type. Changes nothing.
-- KEYS: 1 epoch, 2 gone, 3… data of each type
-- ARGV: 1 clock, 2 id
-- Returns: ok | unknown | ended, cause | expired, cause
local epoch_key, gone = unpack(KEYS)
local given, id = unpack(ARGV)

local at, record = find(id, 3, 1)
if not at then return missing(gone, id) end
local denied = over(record, clock(given), tonumber(redis.call('GET', epoch_key) or 0))
if denied then return denied end
return {'ok'}
