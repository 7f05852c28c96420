-- Runs every command of the other scripts, on a key that no step uses, to find out whether
-- Redis would run them now. Leaves nothing behind.
-- KEYS: 1 probe
-- ARGV: 1 channel
-- Returns: ok, now

local key, channel = KEYS[1], ARGV[1]

for _, command in ipairs({
  {'TIME'},
  {'SET', key, '', 'PX', 1000}, -- the first write: refused when memory is full; the key expires if DEL is refused
  {'DEL', key},
  {'UNLINK', key},
  {'GET', key}, -- this command and those up to the next empty line do not create the key
  {'PEXPIRE', key, 1000},
  {'PEXPIREAT', key, 0},
  {'HGET', key, ''},
  {'HMGET', key, ''},
  {'HGETALL', key},
  {'HDEL', key, ''},
  {'SREM', key, ''},
  {'ZREM', key, ''},
  {'ZCARD', key},
  {'ZSCORE', key, ''},
  {'ZCOUNT', key, 0, 0},
  {'ZRANGE', key, 0, -1},
  {'ZREVRANGE', key, 0, -1},
  {'ZRANGEBYSCORE', key, 0, 0},
  {'ZREVRANGEBYSCORE', key, 0, 0},
  {'ZREMRANGEBYRANK', key, 0, -1},

  {'HSET', key, '', ''},
  {'DEL', key},
  {'SADD', key, ''},
  {'DEL', key},
  {'ZADD', key, 0, ''},
  {'DEL', key},
  {'XADD', key, 'MINID', '~', 0, '*', 'e', ''},
  {'DEL', key},
}) do
  local reply = redis.pcall(unpack(command))
  if type(reply) == 'table' and reply.err then return redis.error_reply(reply.err .. ' (' .. command[1] .. ')') end
end
redis.pcall('PUBLISH', channel, '') -- no step needs it, and followers ignore an empty message
local time = redis.call('TIME')
return {'ok', time[1] * 1000000 + time[2]}
