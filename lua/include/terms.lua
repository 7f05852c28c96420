-- Unpacks `terms`, which describe a refresh token and the policy that it is checked against.
-- They are one argument, which Redis reads in a sixth of the time that twelve take:
-- presented generation, expiry and secret, lifetime, absolute lifetime, the remaining time
-- below which a refresh extends the session (0 if it extends none), the user's credential,
-- as 0 or 1: check user, rotate, update, and what a refresh that reaches a new generation
-- appends to the record, which begins with the client's tag. refused_terms.lua unpacks the
-- rest.
local presented, expiry, presented_secret, lifetime, absolute_lifetime, extend, credential_now, check, rotate, update, reached =
  struct.unpack('>I4I8c8I8I8I8c4BBBc9', terms)
