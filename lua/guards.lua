-- The replies that refuse a step.

-- The reply that refuses a user whom the directory doesn't know as active.
local function refused(check, user)
  if check ~= '1' then return nil end
  local active = redis.call('HGET', user, 'active')
  if not active then return {'user_not_found'} end
  if active ~= '1' then return {'user_inactive'} end
end

-- The reply for a session that is before its app's epoch, or past its time. The
-- former's record is left for its expiry to free, as it tells the cause.
local function over(record)
  if epoch > 0 and (#record < ERA_AT or struct.unpack('>I7', record, ERA_AT) < epoch) then return {'ended', 'app'} end
  local expires, absolute = struct.unpack('>I4I4', record, 24)
  if now >= absolute * 1000 then return {'expired', 'absolute'} end
  if now >= expires * 1000 then return {'expired', 'expired'} end
end

-- The reply for a session that isn't there.
local function missing(id)
  local oldest = ms - ARGV[2]:match('^%d+')
  for _, line in ipairs(redis.call('ZREVRANGEBYSCORE', gone, '+inf', '(' .. oldest)) do
    if line:sub(1, #id + 1) == id .. '|' then return {'ended', line:match('|(.-)|')} end
  end
  return {'unknown'}
end
