-- Counts the repeats of the token that was spent last. Needs terms.lua before it.

local MAX_REPEATS = 50 -- session.MaxRepeats

local NO_CLIENT = '\0\0\0\0' -- the tag of a client whose network is not known

-- Returns the record with one more repeat, and 1 if the client is in another network than
-- the one whose refresh has spent the token, or else 0. It returns nil if there were too many
-- repeats already. This is session.Repeats.Add.
local function count_repeat(record)
  local client = reached:sub(1, 4)
  local generation, tag, counted_for, repeats = struct.unpack('>I4', record, 2), NO_CLIENT, 0, 0
  if #record >= REACHED_SIZE then tag, counted_for, repeats = struct.unpack('>c4I4B', record, RECORD_SIZE + 1) end
  if counted_for ~= generation then tag, repeats = NO_CLIENT, 0 end
  if repeats >= MAX_REPEATS then return nil end
  local moved = client ~= NO_CLIENT and tag ~= NO_CLIENT and client ~= tag
  local counted = struct.pack('>c4I4B', tag, generation, repeats + 1)
  return record:sub(1, RECORD_SIZE) .. counted .. record:sub(REACHED_SIZE + 1), moved and 1 or 0
end
