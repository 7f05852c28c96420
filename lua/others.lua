-- Ends the sessions of the types asked for, except one.
-- KEYS: 1 epoch, 2 gone, 3 endings, 4 user, 5… sessions and data of each type,
--       those asked for first
-- ARGV: 1 clock, 2 trail, 3 check user, 4 caller (empty: not checked),
--       5 types asked for, 6 cause, 7 by, 8 keep (empty: none),
--       9 presented generation, 10 retry window
-- Returns: ok, now, ended | unknown | token_revoked, cause
--        | user_not_found | user_inactive

-- include lib
-- include guards
-- include find
-- include settle
-- include change
local endings, user = unpack(KEYS, 3)
local check, caller, types, cause, by, keep, presented, window = unpack(ARGV, 3)

-- A token that is ahead of its record is one whose rotation a failover has lost:
-- whoever checked its signature and time knows that it was given.
local function held()
  local _, record = find(keep, 6, 2)
  if not record or over(record) then return false end
  local generation, _, _, rotated = struct.unpack(RECORD, record)
  return tonumber(presented) >= generation
    or tonumber(presented) == generation - 1 and now < rotated + window
end

local denied = refused(check, user)
if denied then return denied end
if keep ~= '' and not held() then return {'unknown'} end
denied = revoked(caller, 6, 2)
if denied then return denied end

local ended = {}
for k = 5, 4 + 2 * types, 2 do
  local ids = {}
  for _, id in ipairs(redis.call('ZRANGE', KEYS[k], 0, -1)) do
    local record = id ~= keep and redis.call('HGET', KEYS[k + 1], id:sub(1, FIELD))
    if record and not over(record) then
      ids[#ids + 1], ended[#ended + 1] = id, id
    end
  end
  erase(KEYS[k], KEYS[k + 1], ids)
  settle(KEYS[k], KEYS[k + 1])
end
if #ended > 0 then tell(endings, ended, cause, by) end
return {'ok', micros, ended}
