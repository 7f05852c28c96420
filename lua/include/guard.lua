-- Makes Redis refuse the script unless it takes writes. A replica, and a primary that has
-- lost its replicas, may lack what was done elsewhere, and must not decide on a session. This
-- command deletes nothing, because no tombstone is empty. After it the script may write
-- while memory is full: Redis refuses only the first write then, and none that deletes.
redis.call('ZREM', tombstones, '')
