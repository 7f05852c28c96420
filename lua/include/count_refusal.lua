-- Counts a refusal of `member` in `refusals`, which expires 80 minutes after the last one.
-- Of 200 members, the one that was refused least gives its place and its count to a new
-- one. So one that is refused often is found among any number of others. The price: its
-- count may be too high.
local count = 1
if not redis.call('ZSCORE', refusals, member) and redis.call('ZCARD', refusals) >= 200 then
  local least = redis.call('ZRANGE', refusals, 0, 0, 'WITHSCORES')
  redis.call('ZREM', refusals, least[1])
  count = least[2] + 1
end
redis.call('ZADD', refusals, 'INCR', count, member)
redis.call('PEXPIRE', refusals, 4800000)
