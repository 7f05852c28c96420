-- Replies that refuse a step.

-- Returns the refusal of a user that the directory lacks or has disabled, or nil.
-- active is the field of the account.
local function refuse_inactive(active)
  if not active then return {'user_not_found'} end
  if active ~= '1' then return {'user_inactive'} end
end

-- Reads a user from the directory and returns their refusal, or nil.
local function refuse_user(check, user)
  return check == '1' and refuse_inactive(redis.call('HGET', user, 'active')) or nil
end

-- Returns the refusal of a session that was created before its app's not-before,
-- or that has expired, or nil. A session revoked with its app has no tombstone, so its
-- record stays until it expires, to show the cause.
local function refuse_ended(record)
  if not_before > 0 and struct.unpack('>I7', record, CREATED_UNDER_AT) < not_before then return {'ended', 'app'} end
  local expires, absolute = struct.unpack('>I4I4', record, EXPIRES_AT)
  if now >= absolute * 1000 then return {'expired', 'absolute'} end
  if now >= expires * 1000 then return {'expired', 'expired'} end
end

-- Returns the refusal of a session that has no record: its tombstone's cause, if
-- it has one.
local function refuse_missing(id)
  local oldest = ms - ARGV[2]:match('^%d+')
  for _, line in ipairs(redis.call('ZREVRANGEBYSCORE', tombstones, '+inf', '(' .. oldest)) do
    if line:sub(1, #id + 1) == id .. '|' then return {'ended', line:match('|(.-)|')} end
  end
  return {'unknown'}
end
