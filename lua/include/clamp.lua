-- Returns the expiry and the absolute expiry (ms) of a session under the policy, as
-- session.Policy.Clamp does. expires and absolute are seconds.
local function clamp(created, rotated, expires, absolute)
  local since = extend > 0 and rotated or created
  absolute = math.min(absolute, math.floor((created + absolute_lifetime) / 1000))
  expires = math.min(expires, absolute, math.floor((since + lifetime) / 1000))
  return expires * 1000, absolute * 1000
end
