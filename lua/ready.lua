-- Fails unless a step on a user's keys could write now: Redis refuses this command when
-- memory is full, on a replica, without enough replicas, or without the right. Changes
-- nothing.
-- KEYS: 1 a key that never exists, in the user's slot
-- Returns: ok

redis.call('SET', KEYS[1], '', 'XX')
return {'ok'}
