-- Returns a number for the ID of a new user: above the given number, and above all
-- numbers that it has returned before. Package redisstore rejects numbers above 2^53-1, up
-- to which Lua counts.
-- KEYS: 1 last ID, 2 a key that never exists
-- ARGV: 1 number
-- Returns: ok, number

local last_id, number = KEYS[1], ARGV[1]

local id = math.max(tonumber(redis.call('GET', last_id) or 0), tonumber(number)) + 1

redis.call('DEL', KEYS[2]) -- a script that begins with DEL may write when memory is full
redis.call('SET', last_id, string.format('%.0f', id))
return {'ok', id}
