-- Adds an attempt to a row of failed logins, or counts a refusal while the next one must
-- wait. The rule is that of FailureLimit in session/limiter.go.
-- KEYS: 1 failures, 2 refusals
-- ARGV: 1 time (0; tests: negated), 2 limit, 3 member of refusals, 4 look (1: adds nothing)
-- Returns: ok, now | throttled, wait

-- include limiter_clock
local failures, refusals = unpack(KEYS)
local limit, member, look = unpack(ARGV, 2)
local MINUTE, DAY = 60 * 1000000, 24 * 3600 * 1000000

-- "in row|until|next", without the last if the next attempt is allowed at once. A later
-- version may append to it.
local in_row, till, next_at = 0, 0, 0
local row = redis.call('GET', failures)
if row then in_row, till, next_at = row:match('^(%d+)|(%d+)|?(%d*)') end
if micros >= till + 0 then in_row, next_at = 0, 0 end
local wait = (tonumber(next_at) or 0) - micros
if wait > 0 and wait <= DAY then -- a longer wait means that the clock was set back
  -- include count_refusal
  return {'throttled', wait}
end
if look == '1' then return {'ok', micros} end

in_row = in_row + 1
local memory = math.min(in_row, 400) * DAY -- session.MaxFailureMemory is 400 days
row = string.format('%.0f|%.0f', in_row, micros + memory)
if in_row >= tonumber(limit) then
  row = string.format('%s|%.0f', row, micros + math.min(MINUTE * 2 ^ (in_row - limit), DAY))
end
redis.call('SET', failures, row, 'PX', memory / 1000)
return {'ok', micros}
