-- Gives what tells how a user's sessions ended; package redisstore puts it
-- together. Changes nothing.
-- KEYS: 1 epoch, 2 gone, 3… sessions and data of each type
-- ARGV: 1 clock, 2 trail
-- Returns: ok, now, epoch, gone, sessions and data of each type

-- include lib
local oldest = ms - ARGV[2]:match('^%d+')

local reply = {'ok', micros, epoch, redis.call('ZREVRANGEBYSCORE', gone, '+inf', '(' .. oldest, 'WITHSCORES')}
for k = 3, #KEYS, 2 do
  reply[#reply + 1] = redis.call('ZRANGE', KEYS[k], 0, -1)
  reply[#reply + 1] = redis.call('HGETALL', KEYS[k + 1])
end
return reply
