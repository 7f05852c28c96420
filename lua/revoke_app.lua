-- Revokes every session of one bucket that was created before now.
-- KEYS: 1 not-before, 2 revocations
-- ARGV: 1 clock, 2 revocation parameters, 3 lifetime of the not-before
-- Returns: ok, now

-- include prelude
-- include revocation
local revocations, lifetime = KEYS[2], ARGV[3]

redis.call('DEL', KEYS[1]) -- a script that has deleted something may write when memory is full
redis.call('SET', KEYS[1], math.max(micros, not_before + 1), 'PX', lifetime) -- never moves back, even if the clock does
record_revocation(revocations, {}, 'app', '')
return {'ok', micros}
