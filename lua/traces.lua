-- Gives what tells how a user's sessions ended; package redisstore puts it
-- together. Changes nothing.
-- KEYS: 1 epoch, 2 gone, 3… data of each type
-- ARGV: 1 clock, 2 trail
-- Returns: ok, now, epoch, gone, data of each type
local oldest = ms - ARGV[2]:match('^%d+')

local reply = {'ok', micros, epoch, redis.call('ZREVRANGEBYSCORE', gone, '+inf', '(' .. oldest, 'WITHSCORES')}
for k = 3, #KEYS do
  reply[#reply + 1] = redis.call('HGETALL', KEYS[k])
end
return reply
