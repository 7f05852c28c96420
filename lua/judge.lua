-- What session.Policy.Refresh says of a token, for a session that is not over.
local function judge(presented, expiry, generation, rotated, expires, window, detect)
  if presented == generation then return expiry == expires and 'ok' or 'unknown' end
  if presented > generation and now >= expiry then return 'unknown' end
  if presented > generation then return 'healed' end
  if presented == generation - 1 and now < rotated + window then return 'retried' end
  return detect and 'replayed' or 'spent'
end
