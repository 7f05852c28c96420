-- Unpacks the rest of `terms`, which matters only if a token is not the current one, or is
-- refused: retry window, and as 0 or 1: detect reuse, tentative.
local window, detect, tentative = struct.unpack('>I4BB', terms, 61)
