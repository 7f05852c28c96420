-- Tells whether one session is, whichever its type. Changes nothing.
-- KEYS: 1 epoch, 2 gone, 3… data of each type
-- ARGV: 1 clock, 2 trail, 3 id
-- Returns: ok | unknown | ended, cause | expired, cause

-- include lib
-- include guards
-- include find
local id = ARGV[3]

local at, record = find(id, 3, 1)
if not at then return missing(id) end
return over(record) or {'ok'}
