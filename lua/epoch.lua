-- Ends every session of one bucket that began before now.
-- KEYS: 1 epoch, 2 endings
-- ARGV: 1 clock, 2 trail, 3 life
-- Returns: ok, now

-- include lib
-- include change
local endings, life = KEYS[2], ARGV[3]

redis.call('DEL', KEYS[1]) -- a script that has deleted may write when memory is full
redis.call('SET', KEYS[1], math.max(micros, epoch + 1), 'PX', life) -- never back, whatever a clock did
tell(endings, {}, 'app', '')
return {'ok', micros}
