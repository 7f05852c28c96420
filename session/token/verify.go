package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"tokengate/session"
)

// maxTime is the last second of the year 9999. Times beyond it are invalid.
const maxTime = 253402300799

// strictBase64 rejects encodings whose unused trailing bits are not zero. It still
// ignores line ends, so verifySignature rejects those itself.
var strictBase64 = base64.RawURLEncoding.Strict()

// Verify implements [session.Signer]. The header shows whether a token is one of the
// gateway's refresh tokens. For any other token, it makes the checks of simplejwt in
// simplejwt's order: times first, then audience and issuer, then missing or wrong
// claims. So a token that is expired and also lacks a claim is TokenInvalid.
// Verify returns UserUnknown if the token's user id is one that no user can have.
//
// The session of an access token may be empty, or have any form, if another
// program with the same key issued the token. Extra is not read back.
//
// The gateway's own tokens, which have a valid session, are checked with the store's clock.
// Access tokens of other programs are checked with this instance's.
func (s *Signer) Verify(token string, kind session.Kind, clock session.Clock) (session.Claims, error) {
	header, _, _ := strings.Cut(token, ".")
	if k := s.refresh.byHeader[header]; k != nil {
		return s.verifyRefresh(k, token, kind, clock)
	}
	c, err := s.verifyAccess(token, clock)
	if err == nil && kind == session.KindRefresh {
		return session.Claims{}, session.Fail(session.TokenWrongKind, nil)
	}
	return c, err
}

// verifyAccess verifies an access token.
func (s *Signer) verifyAccess(token string, clock session.Clock) (session.Claims, error) {
	if cached, ok := s.cache.Get(token); ok {
		now, err := timeFor(clock, cached.Session.Valid(), cached.User)
		if err != nil {
			return session.Claims{}, err
		}
		if cached.validAt(now) {
			return cached.Claims, nil
		}
	}
	c, now, err := s.verifyUncached(token, clock)
	if err == nil && len(token) <= maxCachedLength {
		// Round removes the monotonic clock reading, so that validAt compares wall clock times.
		s.cache.Put(strings.Clone(token), cachedClaims{c, now.Round(0), c.Expires.Add(s.leeway)})
	}
	return c, err
}

// timeFor returns the time with which a token is checked: that of the store for one of the
// gateway's own.
func timeFor(clock session.Clock, own bool, user session.UserID) (time.Time, error) {
	if own {
		return clock.StoreNow(user)
	}
	return clock.Now(), nil
}

// cachedClaims holds the claims of a verified access token, and the time in which
// they are valid: from the verification to the token's expiry. The keys and
// settings that the result depends on never change.
type cachedClaims struct {
	session.Claims
	from, until time.Time
}

// Limits of the cache. A client sends the same access token with each of its
// requests, so forward-auth verifies the same tokens again and again. Tokens
// longer than maxCachedLength, which are unusual, are verified each time.
const (
	maxCachedTokens = 4096
	maxCachedLength = 1024 // bytes
)

// validAt reports whether the token is valid at now as well. It returns false for
// times before the verification, which occur if the clock was set back: it may be
// too early for the token.
func (c cachedClaims) validAt(now time.Time) bool { return !now.Before(c.from) && now.Before(c.until) }

// verifyUncached verifies an access token without the cache. It also returns the time by
// which the token was checked.
func (s *Signer) verifyUncached(token string, clock session.Clock) (c session.Claims, now time.Time, err error) {
	buf := s.pool.Get().(*buffers)
	defer s.pool.Put(buf)
	t, err := s.verifySignature(buf, token)
	if err != nil {
		return c, now, session.Fail(session.TokenInvalid, err)
	}
	var raw rawClaims
	names := &s.claimNames
	if t == typAccess {
		names = &s.accessClaimNames
	}
	if !eachMember(buf.claims, func(name, value []byte) bool { return raw.set(names, name, value) }) {
		return c, now, session.Fail(session.TokenInvalid, errors.New("the claims are not a JSON object, or a claim occurs twice"))
	}
	user, userErr := readUser(names.user == subject, raw.user)
	if now, err = timeFor(clock, raw.hasSessionID() && userErr == nil, user); err != nil {
		return c, now, err
	}
	if c, err = s.checkClaims(&raw, t, now); err != nil {
		return session.Claims{}, now, err
	}
	if userErr != nil {
		return session.Claims{}, now, session.Fail(session.UserUnknown, userErr)
	}
	c.User = user
	return c, now, nil
}

// split checks the form of a token and decodes it: the token is then in buf.token, its
// signature in buf.part, and its claims in buf.claims.
func (buf *buffers) split(token string) (err error) {
	if len(token) > MaxLength {
		return errors.New("the token is too long")
	}
	if strings.Count(token, ".") != 2 || strings.IndexByte(token, '\n') >= 0 || strings.IndexByte(token, '\r') >= 0 {
		return errors.New("the token is not a compact JWS")
	}
	first, last := strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.')
	buf.token = append(buf.token[:0], token...)
	if buf.part, err = strictBase64.AppendDecode(buf.part[:0], buf.token[last+1:]); err != nil {
		return errors.New("the signature is not base64url")
	}
	if buf.claims, err = strictBase64.AppendDecode(buf.claims[:0], buf.token[first+1:last]); err != nil {
		return errors.New("the claims are not base64url")
	}
	return nil
}

// verifySignature checks the form, the header and the signature of an access token. The
// decoded claims are then in buf.claims. They are not read before the signature has
// been verified, so an attacker cannot reach the parser with forged claims.
func (s *Signer) verifySignature(buf *buffers, token string) (typ, error) {
	if err := buf.split(token); err != nil {
		return 0, err
	}
	first, last := strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.')
	h, err := s.parseHeader(token[:first])
	if err != nil {
		return 0, err
	}
	signed := func(k *key) bool { return k.verify(buf.token[:last], buf.part) }
	if !slices.ContainsFunc(h.keys, signed) {
		return 0, errors.New("the signature is not from one of the app's keys")
	}
	return h.typ, nil
}

// parseHeader parses an encoded JOSE header. The headers of the app's own tokens
// are looked up in encoded form, which saves decoding them. A header whose typ is
// not used by the profile is rejected, so that a logout token, or anything else
// that is signed with the same key, is never accepted as one of these tokens (RFC
// 8725 section 3.11).
func (s *Signer) parseHeader(encoded string) (header, error) {
	h, known := s.keyring.byHeader[encoded]
	if !known {
		decoded, err := strictBase64.DecodeString(encoded)
		if err != nil {
			return header{}, errors.New("the header is not base64url")
		}
		if h, err = s.keyring.parseHeaderJSON(decoded); err != nil {
			return header{}, err
		}
	}
	if h.typ == typOther || h.typ == typAccess && !s.rfc9068 {
		return header{}, errors.New("the header's typ is not accepted")
	}
	return h, nil
}

// rawHeader holds the members of a JOSE header as JSON; nil means absent.
type rawHeader struct{ alg, typ, kid []byte }

// set stores a member, and returns false if the header must be rejected: if the
// member occurs twice, or if it is crit, that is, the token uses extensions that
// must be understood. b64 (RFC 7797) is rejected with or without crit.
func (h *rawHeader) set(name, value []byte) bool {
	switch string(name) {
	case "alg":
		return setOnce(&h.alg, value)
	case "typ":
		return setOnce(&h.typ, value)
	case "kid":
		return setOnce(&h.kid, value)
	case "crit", "b64":
		return false
	}
	return true
}

// setOnce sets *member, and returns false if it was set before. RFC 7519 section 4
// lets implementations either reject a token with duplicate names or use the last
// value. Two readers that choose differently would see two different tokens, so
// duplicates are rejected.
func setOnce(member *[]byte, value []byte) bool {
	absent := *member == nil
	*member = value
	return absent
}

// parseHeaderJSON parses a decoded header that is not one of the app's own, such as
// that of a token from another program.
func (r *keyring) parseHeaderJSON(data []byte) (header, error) {
	var raw rawHeader
	if !eachMember(data, raw.set) {
		return header{}, errors.New("the header is not a JSON object, has a member twice, or requires an extension")
	}
	if alg, ok := parseString(raw.alg); !ok || alg != r.algorithm {
		return header{}, errors.New("the header's alg is not the app's ALGORITHM")
	}
	h := header{r.keys, typJWT}
	if raw.typ != nil {
		h.typ = parseTyp(raw.typ)
	}
	if raw.kid != nil {
		kid, ok := parseString(raw.kid)
		if h.keys = r.keysFor(kid); !ok || h.keys == nil {
			return header{}, errors.New("the header's kid is unknown")
		}
	}
	return h, nil
}

// parseTyp parses a typ. It is a media type: case does not matter, and
// "application/" may be omitted (RFC 7515 section 4.1.9).
func parseTyp(value []byte) typ {
	name, ok := parseString(value)
	name = strings.TrimPrefix(strings.ToLower(name), "application/")
	switch {
	case ok && name == "jwt":
		return typJWT
	case ok && name == "at+jwt":
		return typAccess
	}
	return typOther
}

// rawClaims holds the claims of a token as JSON; nil means absent.
type rawClaims struct {
	exp, iat, nbf, aud, iss, jti, kind, user, sid, authTime []byte
}

// set stores a claim that the gateway uses, and returns false if it occurs twice.
func (c *rawClaims) set(names *claimNames, name, value []byte) bool {
	switch string(name) {
	case names.kind:
		return setOnce(&c.kind, value)
	case names.user:
		return setOnce(&c.user, value)
	case names.jti:
		return setOnce(&c.jti, value)
	case "exp":
		return setOnce(&c.exp, value)
	case "iat":
		return setOnce(&c.iat, value)
	case "nbf":
		return setOnce(&c.nbf, value)
	case "aud":
		return setOnce(&c.aud, value)
	case "iss":
		return setOnce(&c.iss, value)
	case "sid":
		return setOnce(&c.sid, value)
	case "auth_time":
		return setOnce(&c.authTime, value)
	}
	return true
}

// checkClaims checks the claims of an access token whose signature has been verified, in
// simplejwt's order, and returns them without the user.
func (s *Signer) checkClaims(c *rawClaims, t typ, now time.Time) (session.Claims, error) {
	out := session.Claims{Kind: session.KindAccess}
	if err := s.checkTimes(c, &out, now); err != nil {
		return session.Claims{}, session.Fail(session.TokenInvalid, err)
	}
	if !s.acceptsAudienceAndIssuer(c) {
		return session.Claims{}, session.Fail(session.TokenInvalid, errors.New("the audience or the issuer is not accepted"))
	}
	if code := s.checkRequired(c, t); code != "" {
		return session.Claims{}, session.Fail(code, nil)
	}
	sid, _ := parseString(c.sid)
	out.Session = session.ID(sid)
	return out, nil
}

// subject is the claim for a user's ID that RFC 7519 defines. Its value is a string.
const subject = "sub"

// readUser returns the user's ID in a claim. A whole number in the subject becomes a
// number again, as most user sources have it.
func readUser(inSubject bool, value []byte) (session.UserID, error) {
	if inSubject {
		if text, ok := plainString(value); ok {
			if id, err := session.ParseUserID(text); err == nil && id.String() == string(text) {
				return id, nil
			}
		}
	}
	return session.ParseUserID(value)
}

// checkTimes stores exp, iat and auth_time in out, and checks exp, iat and nbf. If one of
// the gateway's own tokens seems to be from the future, the store's clock was set back
// since. The token is still valid, and [session.Engine.Verify] queries the store about it.
func (s *Signer) checkTimes(c *rawClaims, out *session.Claims, now time.Time) error {
	exp, expOK := parseTime(c.exp)
	iat, iatOK := parseTime(c.iat)
	nbf, nbfOK := parseTime(c.nbf)
	if !expOK || !iatOK || !nbfOK {
		return errors.New("exp, iat or nbf is not a valid time")
	}
	out.Expires, out.Issued = exp, iat
	out.AuthTime, _ = parseTime(c.authTime)
	latest := now.Add(s.leeway)
	switch {
	case c.exp != nil && !now.Add(-s.leeway).Before(exp):
		return errors.New("the token has expired")
	case iat.After(latest) && !c.hasSessionID(), nbf.After(latest):
		return errNotYetValid
	}
	return nil
}

var errNotYetValid = errors.New("the token is not yet valid")

// hasSessionID reports whether sid has the form of the gateway's session ids. If
// not, another program with the same key issued the token.
func (c *rawClaims) hasSessionID() bool {
	sid, _ := parseString(c.sid)
	return session.ID(sid).Valid()
}

// parseTime parses a NumericDate and truncates it to whole seconds, as PyJWT does.
// It returns the zero time if value is nil. A float is compared with the limits
// before it is converted to an integer: Go's result for a float beyond the range
// of integers differs between machines.
func parseTime(value []byte) (t time.Time, ok bool) {
	if value == nil {
		return time.Time{}, true
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(string(value), 64)
		if err != nil || !(f >= -maxTime && f <= maxTime) {
			return time.Time{}, false
		}
		n = int64(f)
	}
	if n < -maxTime || n > maxTime {
		return time.Time{}, false
	}
	return time.Unix(n, 0), true
}

// checkRequired returns the code for the first required claim that is missing or
// has a wrong value, in simplejwt's order, or an empty code.
func (s *Signer) checkRequired(c *rawClaims, t typ) session.Code {
	switch {
	case c.exp == nil:
		return session.TokenNoExpiry
	case c.jti == nil:
		return session.TokenNoID
	case c.kind == nil && !s.rfc9068:
		return session.TokenNoKind
	case (t == typAccess) != s.rfc9068, c.kind != nil && !isString(c.kind, string(session.KindAccess)):
		return session.TokenWrongKind
	case c.user == nil:
		return session.TokenNoUser
	}
	return ""
}

// acceptsAudienceAndIssuer reports whether aud and iss have the configured values,
// if any. As in PyJWT, one common audience is enough, and a list that contains
// anything but strings is invalid.
func (s *Signer) acceptsAudienceAndIssuer(c *rawClaims) bool {
	if s.issuer != "" && !isString(c.iss, s.issuer) {
		return false
	}
	if len(s.audience) == 0 || string(c.aud) == s.constant.aud {
		return true
	}
	if aud, ok := parseString(c.aud); ok {
		return slices.Contains(s.audience, aud)
	}
	var list []*string // pointers, because null would decode to an empty string
	if json.Unmarshal(c.aud, &list) != nil || slices.Contains(list, nil) {
		return false
	}
	return slices.ContainsFunc(list, func(aud *string) bool { return slices.Contains(s.audience, *aud) })
}
