-- Reports whether a sorts before b, as in a sorted set. Bytes are compared one by one,
-- because Lua's < on strings follows the locale.
local function sorts_before(a, b)
  for i = 1, math.min(#a, #b) do
    if a:byte(i) ~= b:byte(i) then return a:byte(i) < b:byte(i) end
  end
  return #a < #b
end
