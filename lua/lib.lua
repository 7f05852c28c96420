-- What all steps share. Each is given the epoch's key first, that of its user's
-- `gone` second, and as arguments first the clock and the trail: life of `gone`,
-- horizon of the outbox, channel, app, user, with | in between. The user comes
-- last, here and in what is published, since it may hold any character. Times
-- are milliseconds unless they say otherwise. A function costs each run that
-- comes past it 0.2 µs, called or not; so here there are none.

-- The time to go by; the microseconds are a fraction of `now`. The clock is 0
-- for Redis's own, or a test's, in microseconds.
local time = redis.call('TIME')
local micros = ARGV[1] == '0' and time[1] * 1000000 + time[2] or tonumber(ARGV[1])
local now = micros / 1000
local ms = now - now % 1

local epoch, gone = tonumber(redis.call('GET', KEYS[1]) or 0), KEYS[2]

-- A session's record: generation, created, updated (µs), rotated, expires (s),
-- absolute (s), and 1 if it has claims, for which a refresh need not look if
-- not. Then, where its app had been ended before, the epoch (µs) when it began,
-- which orders the two where no clock can.
local RECORD, ERA_AT = '>I4I6I7I6I4I4B', 33

-- What names a session's fields in the data hash: so many characters of its ID.
-- They hold 60 random bits, which tell one user's sessions of a type apart
-- (create.lua makes sure); all 22 would cost each session a tenth more memory.
local FIELD = 10
