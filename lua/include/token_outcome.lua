-- Returns the code that session.Policy.Refresh returns for a refresh token of a live
-- session.
local function token_outcome(presented, expiry, generation, rotated, expires, window, detect)
  if presented == generation then return expiry == expires and 'ok' or 'unknown' end
  if presented > generation and now >= expiry then return 'unknown' end
  if presented > generation then return 'healed' end
  if presented == generation - 1 and now < rotated + window then return 'retried' end
  return detect and 'replayed' or 'spent'
end
