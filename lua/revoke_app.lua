-- Revokes every session of one bucket that was created before now.
-- KEYS: 1 not-before, 2 tombstones of no user, 3 revocations
-- ARGV: 1 latest start, 2 revocation parameters, 3 lifetime of the not-before
-- Returns: ok, now

-- include prelude
-- include guard
-- include revocation
local revocations, lifetime = KEYS[3], ARGV[3]

record_revocation(revocations, {}, 'app', '')
redis.call('SET', KEYS[1], math.max(micros, not_before + 1), 'PX', lifetime) -- never moves back, even if the clock does
return {'ok', micros}
