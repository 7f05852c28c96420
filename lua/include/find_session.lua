-- Looks for a session in the data of every type. Needs refusals.lua before it.

-- Returns the index in KEYS of the data hash that holds the session, and the
-- session's record. The data hashes are KEYS[first], KEYS[first + step] and so on.
local function find_session(id, first, step)
  for k = first, #KEYS, step do
    local record = redis.call('HGET', KEYS[k], id:sub(1, FIELD))
    if record and #record >= RECORD_SIZE then return k, record end
  end
end

-- Returns the refusal of an access token whose own session has ended, or nil.
local function refuse_caller(caller, first, step)
  if caller == '' then return nil end
  local _, record = find_session(caller, first, step)
  local refusal
  if record then refusal = refuse_ended(record) else refusal = refuse_missing(caller) end
  return refusal and {'token_revoked', refusal[2]}
end
