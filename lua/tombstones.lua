-- Returns a user's tombstones, and the sessions that were revoked with their app, which have
-- none. If the user has many sessions, those that expire first are looked at: most of those
-- revoked with the app are among them. Changes nothing.
-- KEYS: 1 not-before, 2 tombstones, 3… sessions and data of each type
-- ARGV: 1 latest start, 2 revocation parameters
-- Returns: ok, now, not-before, tombstones, ids

-- include prelude
-- include guard
-- include refusals
-- include read_records
local oldest, ids = ms - ARGV[2]:match('^%d+'), {}

for k = 3, #KEYS, 2 do
  local members = not_before > 0 and redis.call('ZRANGEBYSCORE', KEYS[k], '(' .. ms, '+inf', 'LIMIT', 0, PAGE) or {}
  for i, record in ipairs(read_records(KEYS[k + 1], members, 1)) do
    local refusal = record and refuse_ended(record)
    if refusal and refusal[1] == 'ended' then ids[#ids + 1] = members[i] end
  end
end
return {'ok', micros, not_before, redis.call('ZREVRANGEBYSCORE', tombstones, '+inf', '(' .. oldest, 'WITHSCORES'), ids}
