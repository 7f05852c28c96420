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

// skew is how far ahead the iat of an access token of ours may be, whatever the
// leeway: iat is a whole second of the store's clock, and a clock that steps
// back by one must not refuse the token just issued.
const skew = time.Second

// maxTime is the last second of the year 9999: beyond it a time is a mistake.
const maxTime = 253402300799

// strict refuses stray bits after the last byte; AppendDecode still skips line
// ends, so those are looked for apart.
var strict = base64.RawURLEncoding.Strict()

// Verify checks token as simplejwt does and in its order; see session.Signer.
// The times come first, then audience and issuer, then what is missing or
// wrong, so a token that is expired as well as odd is TokenInvalid. UserUnknown
// is a user id that no user can have. An access token's session may be empty or
// of any form, when another program with the same key issued it, and its Extra
// is not read back.
//
// For a refresh token the time comes last: Expired, with the claims, means that
// it is one of ours and nothing else is wrong. Its iat is the store's, whose
// clock may be ahead of ours, and is not checked.
func (s *Signer) Verify(token string, kind session.Kind, now time.Time) (session.Claims, error) {
	if kind != session.Access {
		return s.verify(token, kind, now)
	}
	if known, ok := s.seen.Get(token); ok && known.covers(now) {
		return known.Claims, nil
	}
	c, err := s.verify(token, kind, now)
	if err == nil && len(token) <= seenLength {
		s.seen.Put(strings.Clone(token), verified{c, now.Round(0), c.Expires.Add(s.leeway)}) // by the wall's clock
	}
	return c, err
}

// verified is what an access token was found to say, and when that holds: from
// when it was found until the token's end. Which keys and settings it was judged
// by never changes.
type verified struct {
	session.Claims
	from, until time.Time
}

// A client sends one access token with each of its requests, so forward-auth
// sees the same ones again and again. These bound what is kept of them; a longer
// token than usual is checked anew each time.
const (
	seenTokens = 4096
	seenLength = 1024 // bytes
)

// covers tells whether the token is as good at now as it was when it was found.
// A clock that was set back asks again: it may be too early for the token.
func (v verified) covers(now time.Time) bool { return !now.Before(v.from) && now.Before(v.until) }

// verify is Verify of a token that is not known.
func (s *Signer) verify(token string, kind session.Kind, now time.Time) (session.Claims, error) {
	w := s.pool.Get().(*scratch)
	defer s.pool.Put(w)
	t, err := s.open(w, token)
	if err != nil {
		return session.Claims{}, session.Fail(session.TokenInvalid, err)
	}
	var c claims
	n := &s.own
	if t == typAccess {
		n = &s.standard
	}
	if !members(w.claims, func(name, value []byte) bool { return c.take(n, name, value) }) {
		return session.Claims{}, session.Fail(session.TokenInvalid, errors.New("the claims are no JSON object, or one is there twice"))
	}
	return s.judge(w, &c, t, kind, now)
}

// open checks form, header and signature, and decodes the claims to w.claims.
// The claims are not even decoded before the signature is good, so the parser
// below is out of a forger's reach.
func (s *Signer) open(w *scratch, token string) (typ, error) {
	if len(token) > MaxLength {
		return 0, errors.New("longer than any token of ours")
	}
	if strings.Count(token, ".") != 2 || strings.IndexByte(token, '\n') >= 0 || strings.IndexByte(token, '\r') >= 0 {
		return 0, errors.New("no compact JWS")
	}
	first, last := strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.')
	from, err := s.origin(w, token[:first])
	if err != nil {
		return 0, err
	}
	w.token = append(w.token[:0], token...)
	if w.part, err = strict.AppendDecode(w.part[:0], w.token[last+1:]); err != nil {
		return 0, errors.New("the signature is not base64url")
	}
	signed := func(k *key) bool { return k.verify(w.token[:last], w.part) }
	if !slices.ContainsFunc(from.keys, signed) {
		return 0, errors.New("no key of ours signed it")
	}
	if w.claims, err = strict.AppendDecode(w.claims[:0], w.token[first+1:last]); err != nil {
		return 0, errors.New("the claims are not base64url")
	}
	return from.typ, nil
}

// origin reads an encoded JOSE header. One of our own is known by its looks,
// which saves decoding it, and names its key by that. A typ that is none of the
// profile's is refused outright: RFC 8725 section 3.11 wants a logout token, or
// whatever else the key signs, never taken for one of these.
func (s *Signer) origin(w *scratch, encoded string) (origin, error) {
	from, known := s.ring.byHeader[encoded]
	if !known {
		var err error
		if w.part, err = strict.AppendDecode(w.part[:0], []byte(encoded)); err != nil {
			return origin{}, errors.New("the header is not base64url")
		}
		if from, err = s.ring.readHeader(w.part); err != nil {
			return origin{}, err
		}
	}
	if from.typ == typOther || from.typ == typAccess && !s.rfc9068 {
		return origin{}, errors.New("its typ is another than JWT")
	}
	return from, nil
}

// header is a JOSE header's members as they stand; nil: absent.
type header struct{ alg, typ, kid []byte }

// take notes a member, and refuses one that is there twice. Any extension that
// has to be understood (crit) is refused, b64 (RFC 7797) with or without it.
func (h *header) take(name, value []byte) bool {
	switch string(name) {
	case "alg":
		return once(&h.alg, value)
	case "typ":
		return once(&h.typ, value)
	case "kid":
		return once(&h.kid, value)
	case "crit", "b64":
		return false
	}
	return true
}

// once fills a slot; false when it was filled already. RFC 7519 section 4 leaves
// refusing such a token or taking the last to us: two readers that choose
// differently see two tokens in one.
func once(slot *[]byte, value []byte) bool {
	absent := *slot == nil
	*slot = value
	return absent
}

// readHeader reads a header that another program wrote.
func (r *keyring) readHeader(data []byte) (origin, error) {
	var h header
	if !members(data, h.take) {
		return origin{}, errors.New("the header is no JSON object, or asks for an extension")
	}
	if alg, ok := text(h.alg); !ok || alg != r.algorithm {
		return origin{}, errors.New("its alg is another than the app's")
	}
	from := origin{r.keys, typJWT}
	if h.typ != nil {
		from.typ = parseTyp(h.typ)
	}
	if h.kid != nil {
		kid, ok := text(h.kid)
		if from.keys = r.named(kid); !ok || from.keys == nil {
			return origin{}, errors.New("its kid is none of ours")
		}
	}
	return from, nil
}

// parseTyp compares as media types do, without "application/" (RFC 7515
// section 4.1.9).
func parseTyp(value []byte) typ {
	name, ok := text(value)
	name = strings.TrimPrefix(strings.ToLower(name), "application/")
	switch {
	case ok && name == "jwt":
		return typJWT
	case ok && name == "at+jwt":
		return typAccess
	}
	return typOther
}

// claims is a token's claims as they stand; nil: absent.
type claims struct {
	exp, iat, nbf, aud, iss, jti, kind, user, sid, typ, gen, auth []byte
}

// take notes a member that matters, and refuses one that is there twice.
func (c *claims) take(n *names, name, value []byte) bool {
	switch string(name) {
	case n.kind:
		return once(&c.kind, value)
	case n.user:
		return once(&c.user, value)
	case n.jti:
		return once(&c.jti, value)
	case "exp":
		return once(&c.exp, value)
	case "iat":
		return once(&c.iat, value)
	case "nbf":
		return once(&c.nbf, value)
	case "aud":
		return once(&c.aud, value)
	case "iss":
		return once(&c.iss, value)
	case "sid":
		return once(&c.sid, value)
	case "type":
		return once(&c.typ, value)
	case "gen":
		return once(&c.gen, value)
	case "auth_time":
		return once(&c.auth, value)
	}
	return true
}

// judge checks the claims of a token whose signature is good: simplejwt's order
// up to the user, then what only the gateway's refresh tokens have.
func (s *Signer) judge(w *scratch, c *claims, t typ, kind session.Kind, now time.Time) (session.Claims, error) {
	out := session.Claims{Kind: kind}
	expired, err := s.times(c, &out, now)
	if err != nil {
		return session.Claims{}, session.Fail(session.TokenInvalid, err)
	}
	if !s.meant(c) {
		return session.Claims{}, session.Fail(session.TokenInvalid, errors.New("another audience or issuer"))
	}
	if code := s.lacks(c, t, kind); code != "" {
		return session.Claims{}, session.Fail(code, nil)
	}
	if out.User, err = session.ParseUserID(c.user); err != nil {
		return session.Claims{}, session.Fail(session.UserUnknown, err)
	}
	if kind == session.Access {
		sid, _ := text(c.sid)
		out.Session = session.ID(sid)
		return out, nil
	}
	if !c.ours(&out) || !w.hasRefreshID(c.jti, out) {
		return session.Claims{}, session.Fail(session.Unknown, errors.New("no session of ours in it"))
	}
	if expired {
		return out, session.Fail(session.Expired, nil)
	}
	return out, nil
}

// times reads and checks exp, iat and nbf. A refresh token's exp is not held
// against it yet: what is none of ours must not be told that it has expired.
func (s *Signer) times(c *claims, out *session.Claims, now time.Time) (expired bool, err error) {
	exp, okExp := seconds(c.exp)
	iat, okIat := seconds(c.iat)
	nbf, okNbf := seconds(c.nbf)
	if !okExp || !okIat || !okNbf {
		return false, errors.New("exp, iat or nbf is no time")
	}
	out.Expires, out.Issued = exp, iat
	out.AuthTime, _ = seconds(c.auth)
	latest := now.Add(s.leeway)
	if out.Kind == session.Refresh { // its time is its session's, of which nothing is forgiven
		return c.exp != nil && !now.Before(exp), notBefore(nbf, latest)
	}
	switch {
	case c.exp != nil && !now.Add(-s.leeway).Before(exp):
		return true, errors.New("expired")
	case iat.After(latest) && (!c.ofSession() || iat.After(latest.Add(skew))):
		return false, errNotYet
	}
	return false, notBefore(nbf, latest)
}

var errNotYet = errors.New("not yet valid")

func notBefore(nbf, latest time.Time) error {
	if nbf.After(latest) {
		return errNotYet
	}
	return nil
}

// ofSession tells whether a token names a session in our form, so that it is
// one of ours and not another program's with the same key.
func (c *claims) ofSession() bool {
	sid, _ := text(c.sid)
	return session.ID(sid).Valid()
}

// seconds reads a NumericDate, cut to whole seconds as PyJWT does; the zero
// time where there is none. A number is compared before it is converted: what
// Go makes of a float beyond its integers differs between machines.
func seconds(value []byte) (t time.Time, ok bool) {
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

// lacks says what a token needs and has not, in simplejwt's order.
func (s *Signer) lacks(c *claims, t typ, kind session.Kind) session.Code {
	standard := s.rfc9068 && kind == session.Access
	switch {
	case c.exp == nil:
		return session.TokenNoExpiry
	case c.jti == nil:
		return session.TokenNoID
	case c.kind == nil && t != typAccess && !standard:
		return session.TokenNoKind
	case (t == typAccess) != standard, c.kind != nil && !isText(c.kind, string(kind)):
		return session.TokenWrongKind
	case c.user == nil:
		return session.TokenNoUser
	}
	return ""
}

// meant tells whether audience and issuer are ours, where we have any. As in
// PyJWT, one audience in common is enough, and a list with anything but strings
// in it is none.
func (s *Signer) meant(c *claims) bool {
	if s.issuer != "" && !isText(c.iss, s.issuer) {
		return false
	}
	if len(s.audience) == 0 || string(c.aud) == s.json.aud {
		return true
	}
	if one, ok := text(c.aud); ok {
		return slices.Contains(s.audience, one)
	}
	var several []*string // pointers: null is no name
	if json.Unmarshal(c.aud, &several) != nil || slices.Contains(several, nil) {
		return false
	}
	return slices.ContainsFunc(several, func(name *string) bool { return slices.Contains(s.audience, *name) })
}

// ours reads what only a refresh token of ours has.
func (c *claims) ours(out *session.Claims) bool {
	sid, _ := text(c.sid)
	out.Session = session.ID(sid)
	for _, t := range session.Types {
		if isText(c.typ, string(t)) {
			out.Type = t
		}
	}
	generation, err := strconv.ParseUint(string(c.gen), 10, 32)
	out.Generation = uint32(generation)
	return out.Session.Valid() && out.Type != "" && err == nil && generation > 0
}

// hasRefreshID tells whether a jti is the one that the generation was given.
// The buffer is one that the claims don't lie in.
func (w *scratch) hasRefreshID(jti []byte, c session.Claims) bool {
	w.token = w.refreshID(w.token[:0], c)
	return isText(jti, string(w.token))
}
