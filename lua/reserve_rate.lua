-- Takes an attempt from a rate, or counts a refusal while there is none. The rule is that
-- of RateLimit in session/limiter.go.
-- KEYS: 1 rate, 2 refusals
-- ARGV: 1 time (0; tests: negated), 2 interval (µs), 3 burst (µs), 4 member of refusals
-- Returns: ok, now | throttled, wait

-- include limiter_clock
local rate, refusals = unpack(KEYS)
local interval, burst, member = unpack(ARGV, 2)

local full = math.max(redis.call('GET', rate) or 0, micros)
if full - micros > tonumber(burst) then full = micros end -- the clock was set back
full = full + interval
local wait = full - micros - burst
if wait > 0 then
  -- include count_refusal
  return {'throttled', wait}
end

redis.call('SET', rate, string.format('%.0f', full), 'PX', math.ceil((full - micros) / 1000))
return {'ok', micros}
