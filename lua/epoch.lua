-- Ends every session of one bucket that began before now.
-- KEYS: 1 epoch, 2 endings
-- ARGV: 1 clock, 2 trail, 3 life
-- Returns: ok, now
local epoch_key, endings = unpack(KEYS)
local given, trail, life = unpack(ARGV)

local now, real = clock(given)
-- Rounded up, so that what began in this millisecond is over too; never back,
-- whatever a clock did.
local moment = math.max(math.floor(now) + 1, tonumber(redis.call('GET', epoch_key) or 0))

redis.call('SET', epoch_key, moment, 'PX', life)
publish(endings, trail, moment, real, {}, 'app', '')
return {'ok', micros(now)}
