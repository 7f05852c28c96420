-- Takes an attempt out of a row of failed logins, if there is one. The next attempt is then
-- allowed at once.
-- KEYS: 1 failures
-- Returns: ok

local failures = KEYS[1]

local row = redis.call('GET', failures)
if not row then return {'ok'} end

local in_row, till = row:match('^(%d+)|(%d+)')
if in_row - 1 > 0 then
  redis.call('SET', failures, string.format('%.0f|%s', in_row - 1, till), 'KEEPTTL')
else
  redis.call('DEL', failures)
end
return {'ok'}
