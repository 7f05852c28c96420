-- Gives an attempt back to a rate, if the rate is not full.
-- KEYS: 1 rate
-- ARGV: 1 interval (µs)
-- Returns: ok

local rate, interval = KEYS[1], ARGV[1]

local full = redis.call('GET', rate)
if not full then return {'ok'} end

redis.call('SET', rate, string.format('%.0f', full - interval), 'KEEPTTL')
return {'ok'}
