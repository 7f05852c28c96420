-- Writes something that replicas can confirm, also while memory is full, and leaves nothing
-- behind. A server that runs it takes writes.
-- KEYS: 1 probe
-- Returns: ok

local key = KEYS[1]

redis.call('DEL', key) -- a script that begins with DEL may write when memory is full
redis.call('SET', key, '', 'PX', 1000) -- the key expires if the next command is refused
redis.call('DEL', key)
return {'ok'}
