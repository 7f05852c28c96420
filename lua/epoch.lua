-- Ends every session of one bucket that began before now.
-- KEYS: 1 epoch, 2 endings
-- ARGV: 1 clock, 2 trail, 3 life
-- Returns: ok, now
local endings, life = KEYS[2], ARGV[3]

-- Rounded up, so that what began in this millisecond is over too; never back,
-- whatever a clock did.
local moment = math.max(ms + 1, epoch)

redis.call('SET', KEYS[1], moment, 'PX', life)
publish(endings, moment, {}, 'app', '')
return {'ok', micros}
