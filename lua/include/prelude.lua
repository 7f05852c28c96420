-- Shared by all scripts about sessions. KEYS[1] is the app's not-before in the
-- user's bucket, KEYS[2] the user's tombstones (for revoke_app.lua, which has no
-- user, a key that never exists). ARGV[1] is the latest start, ARGV[2] the revocation
-- parameters: tombstone lifetime, retention of the outbox, channel, app and user,
-- separated by |. The user comes last, here and in revocations, because it may
-- hold any character. Times are milliseconds unless
-- a comment says otherwise. This file defines no functions, because a definition
-- costs 0.2 µs in each run that passes it, even if the function is not called.

-- The current time; the microseconds are a fraction of `now`. The latest start is in
-- microseconds: a script that starts later changes nothing, because the client may have
-- sent the request to another instance since. Tests pass the time to use, negated.
local time, latest = redis.call('TIME'), ARGV[1] + 0 -- makes it a number
local micros = latest > 0 and time[1] * 1000000 + time[2] or -latest
if latest > 0 and micros > latest then return {'late', micros} end
local now = micros / 1000
local ms = now - now % 1

local not_before, tombstones = (redis.call('GET', KEYS[1]) or 0) + 0, KEYS[2] -- + 0 makes it a number

-- A session's record: format version, generation, created, updated (µs), rotated,
-- expires (s), absolute (s), 1 if the session has claims, so that a refresh reads
-- claims only where there are any, secret, fingerprint of the credential, and the
-- app's not-before (µs) at the session's creation, or 0. That shows which came first,
-- a revocation of the app or the session, even if the clock can't.
--
-- A later version only appends to the record. What follows RECORD_SIZE is ignored, and
-- a rewrite keeps it, together with the version. A shorter record can't be read, and its
-- session counts as missing.
local VERSION, RECORD, RECORD_SIZE = 1, '>BI4I6I7I6I4I4Bc8c4I7', 52
local CREATED_AT, EXPIRES_AT, CREDENTIAL_AT, CREATED_UNDER_AT = 6, 25, 42, 46 -- where these begin

-- A refresh that reaches a new generation appends the client's tag, that generation, and as
-- 0 how often the token that it has spent was repeated. A version that only knows RECORD
-- keeps these bytes when it reaches a generation; they then belong to another one and mean
-- nothing.
local REACHED, REACHED_SIZE = '>BI4I6I7I6I4I4Bc8c4I7c9', 61

-- The credential of a session or a user where none is known. It is not compared.
local NO_CREDENTIAL = '\0\0\0\0'

-- The number of characters of a session's ID that name its fields in the data
-- hash. They hold 60 random bits, which is enough to distinguish one user's sessions
-- of a type (create.lua checks it). All 22 characters would cost each session a tenth
-- more memory.
local FIELD = 10
