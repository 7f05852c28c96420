-- Looks for a session among all types; guards.lua comes before it.

-- Where in KEYS the data hash is that holds a session, and its record. Data
-- hashes are every step-th key from first on.
local function find(id, first, step)
  for k = first, #KEYS, step do
    local record = redis.call('HGET', KEYS[k], id:sub(1, FIELD))
    if record then return k, record end
  end
end

-- The reply that refuses an access token whose own session is over.
local function revoked(caller, first, step)
  if caller == '' then return nil end
  local _, record = find(caller, first, step)
  local why
  if record then why = over(record) else why = missing(caller) end
  return why and {'token_revoked', why[2]}
end
