-- Ends a row of failed logins.
-- KEYS: 1 failures
-- Returns: ok

redis.call('DEL', KEYS[1])
return {'ok'}
