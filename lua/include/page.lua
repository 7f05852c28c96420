-- Reads a page of a user's sessions, which are in the order of their expiry, and then of
-- their IDs. Needs sorts_before.lua before it.

-- How many sessions a page has. It bounds the time of a step, in which no other user's can
-- run: each session has up to 8 KiB of info and claims.
local LIST_PAGE = 100

-- Returns the rank of the first session after a place in that order, whether or not there is
-- a session in that place.
local function rank_after(sessions, expiry, id)
  local low, high = 0, redis.call('ZCARD', sessions)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local member, score = unpack(redis.call('ZRANGE', sessions, middle, middle, 'WITHSCORES'))
    score = tonumber(score)
    if score < expiry or score == expiry and not sorts_before(id, member) then low = middle + 1 else high = middle end
  end
  return low
end

-- Returns the record, the info and the claims of each of some sessions.
local function read_values(data, ids)
  local names = {}
  for i = 1, #ids do
    local name = ids[i]:sub(1, FIELD)
    names[3 * i - 2], names[3 * i - 1], names[3 * i] = name, name .. 'i', name .. 'c'
  end
  return #names > 0 and redis.call('HMGET', data, unpack(names)) or names
end
