-- Ends the sessions of the types asked for, except one.
-- KEYS: 1 epoch, 2 user, 3 gone, 4 endings, 5… sessions and data of each type,
--       those asked for first
-- ARGV: 1 clock, 2 check user, 3 trail, 4 caller (empty: not checked),
--       5 types asked for, 6 cause, 7 by, 8 keep (empty: none),
--       9 presented generation, 10 retry window
-- Returns: ok, now, ended | unknown | token_revoked
--        | user_not_found | user_inactive
local epoch_key, user, gone, endings = unpack(KEYS)
local given, check, trail, caller, types, cause, by, keep, presented, window = unpack(ARGV)

local denied = refused(check, user)
if denied then return denied end
local now, real = clock(given)
local epoch = tonumber(redis.call('GET', epoch_key) or 0)
if keep ~= '' then
  local _, record = find(keep, 6, 2)
  if not record or over(record, now, epoch) then return {'unknown'} end
  local generation, _, _, rotated = struct.unpack(RECORD, record)
  local retry = presented == generation - 1 and now < rotated + window
  if tonumber(presented) ~= generation and not retry then return {'unknown'} end
end
if revoked(caller, 6, 2, now, epoch) then return {'token_revoked'} end

local ended = {}
for k = 5, 4 + 2 * types, 2 do
  local ids = {}
  for _, id in ipairs(redis.call('ZRANGE', KEYS[k], 0, -1)) do
    if id ~= keep then
      ids[#ids + 1] = id
      local record = redis.call('HGET', KEYS[k + 1], id)
      if record and not over(record, now, epoch) then ended[#ended + 1] = id end
    end
  end
  erase(KEYS[k], KEYS[k + 1], ids)
  settle(KEYS[k], KEYS[k + 1])
end
if #ended > 0 then tell(gone, endings, trail, now, real, ended, cause, by) end
return {'ok', micros(now), ended}
