-- The current time in µs. ARGV[1] is 0; tests pass the time to use, negated.
local time, given = redis.call('TIME'), ARGV[1] + 0 -- makes it a number
local micros = given == 0 and time[1] * 1000000 + time[2] or -given
