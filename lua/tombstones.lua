-- Returns a user's tombstones, and what is stored of their sessions. A session that
-- was revoked with its app has no tombstone; package redisstore makes one from its
-- record. Changes nothing.
-- KEYS: 1 not-before, 2 tombstones, 3… sessions and data of each type
-- ARGV: 1 latest start, 2 revocation parameters
-- Returns: ok, now, not-before, tombstones, sessions and data of each type

-- include prelude
-- include guard
local oldest = ms - ARGV[2]:match('^%d+')

local reply = {'ok', micros, not_before, redis.call('ZREVRANGEBYSCORE', tombstones, '+inf', '(' .. oldest, 'WITHSCORES')}
for k = 3, #KEYS, 2 do
  reply[#reply + 1] = redis.call('ZRANGE', KEYS[k], 0, -1)
  reply[#reply + 1] = redis.call('HGETALL', KEYS[k + 1])
end
return reply
