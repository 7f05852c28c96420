package token

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"tokengate/session"
)

// Sign gives the token for c; see session.Signer. A refresh token's jti is a
// hash of session and generation, so HS*, RS256 and EdDSA give the same bytes
// again for the same claims, PS256 and ES256 the same claims under another
// signature. Times are cut to whole seconds. Members of c.Extra that have a
// name of ours, or a registered one, in any case of letters, are left out: some
// JSON decoders would take them for the real ones. Fails where c is no token
// that Verify could take: no user, a session id of another form, a refresh
// token without type or generation, Extra that is no JSON object, or more than
// MaxLength.
func (s *Signer) Sign(c session.Claims) (string, error) {
	w := s.pool.Get().(*scratch)
	defer s.pool.Put(w)
	t, err := s.compose(w, c)
	if err != nil {
		return "", err
	}
	k := s.ring.keys[0]
	w.token = append(append(w.token[:0], k.headers[t]...), '.')
	w.token = base64.RawURLEncoding.AppendEncode(w.token, w.claims)
	if w.part, err = k.sign(w.part[:0], w.token); err != nil {
		return "", fmt.Errorf("signing failed: %w", err)
	}
	w.token = base64.RawURLEncoding.AppendEncode(append(w.token, '.'), w.part)
	if len(w.token) > MaxLength {
		return "", fmt.Errorf("the token would have %d bytes, %d are allowed: the user has too many claims", len(w.token), MaxLength)
	}
	return string(w.token), nil
}

// compose writes c to w.claims, and says under which typ it goes.
func (s *Signer) compose(w *scratch, c session.Claims) (typ, error) {
	w.claims = w.claims[:0]
	switch {
	case c.User.IsZero():
		return 0, errors.New("a token needs a user")
	case c.Session != "" && !c.Session.Valid():
		return 0, errors.New("the session id has another form than NewID gives")
	case c.Kind == session.Refresh:
		return typJWT, s.refresh(w, c)
	case c.Kind != session.Access:
		return 0, fmt.Errorf("there is no token kind %q", c.Kind)
	case s.rfc9068:
		s.standardAccess(w, c)
		return typAccess, s.extra(w, c.Extra)
	}
	s.access(w, c)
	return typJWT, s.extra(w, c.Extra)
}

// access writes an access token's claims in the order in which simplejwt does,
// then sid, then aud and iss where configured. Nothing here can fail or needs
// escaping: numbers, hex digits, an ID that is valid, and what New prepared.
func (s *Signer) access(w *scratch, c session.Claims) {
	b := append(w.claims, s.json.access...)
	b = strconv.AppendInt(b, c.Expires.Unix(), 10)
	b = strconv.AppendInt(append(b, `,"iat":`...), c.Issued.Unix(), 10)
	b = w.randomID(append(b, s.json.jti...))
	b = c.User.AppendJSON(append(append(b, '"'), s.json.user...))
	b = appendSession(b, c.Session)
	w.claims = append(append(b, s.json.tail...), '}')
}

// refresh writes a refresh token's claims, from which the store's record can be
// told apart: session, generation, and the expiry that it was given.
func (s *Signer) refresh(w *scratch, c session.Claims) error {
	if c.Session == "" || c.Generation == 0 || (c.Type != session.Long && c.Type != session.Short) {
		return errors.New("a refresh token needs a session, its type and a generation")
	}
	b := append(w.claims, s.json.refresh...)
	b = strconv.AppendInt(b, c.Expires.Unix(), 10)
	b = strconv.AppendInt(append(b, `,"iat":`...), c.Issued.Unix(), 10)
	b = w.refreshID(append(b, s.json.jti...), c)
	b = c.User.AppendJSON(append(append(b, '"'), s.json.user...))
	b = appendSession(b, c.Session)
	b = append(append(append(b, `,"type":"`...), c.Type...), `","gen":`...)
	b = strconv.AppendUint(b, uint64(c.Generation), 10)
	w.claims = append(append(b, s.json.tail...), '}')
	return nil
}

// standardAccess writes the claims of RFC 9068. Its sub is always a string
// (RFC 7519 section 4.1.2), also where the user source's id is a number.
func (s *Signer) standardAccess(w *scratch, c session.Claims) {
	b := append(append(w.claims, `{"iss":`...), s.json.iss...)
	b = session.TextID(c.User.String()).AppendJSON(append(b, `,"sub":`...))
	b = append(append(b, `,"aud":`...), s.json.aud...)
	b = append(append(b, `,"client_id":`...), s.json.client...)
	b = strconv.AppendInt(append(b, `,"iat":`...), c.Issued.Unix(), 10)
	b = strconv.AppendInt(append(b, `,"exp":`...), c.Expires.Unix(), 10)
	b = append(w.randomID(append(b, `,"jti":"`...)), '"')
	b = appendSession(b, c.Session)
	if !c.AuthTime.IsZero() {
		b = strconv.AppendInt(append(b, `,"auth_time":`...), c.AuthTime.Unix(), 10)
	}
	w.claims = append(b, '}')
}

// appendSession appends sid, where there is one.
func appendSession(b []byte, id session.ID) []byte {
	if id == "" {
		return b
	}
	return append(append(append(b, `,"sid":"`...), id...), '"')
}

// randomID appends 128 random bits as 32 hex digits, the form of the seed's jti.
// The bits lie in scratch because a local array would be allocated.
func (w *scratch) randomID(b []byte) []byte {
	_, _ = rand.Read(w.random[:]) // never fails: crypto/rand aborts the program instead
	return hex.AppendEncode(b, w.random[:])
}

// refreshID appends half a hash: it names the generation, it proves nothing. It
// takes nothing from the clock or the keys, so a retry on any instance, also
// after a change of keys, repeats it.
func (w *scratch) refreshID(b []byte, c session.Claims) []byte {
	w.part = append(append(w.part[:0], c.Session...), '.')
	sum := sha256.Sum256(strconv.AppendUint(w.part, uint64(c.Generation), 10))
	return hex.AppendEncode(b, sum[:16])
}

// member is one member of a JSON object: its name decoded, its value as it stands.
type member struct{ name, value []byte }

// extra merges the members of an object into w.claims. Of two with one name
// the last counts, as in most JSON decoders; writing both would make a token
// that RFC 7519 section 4 lets verifiers refuse. Names are compared one by one:
// users have a handful of claims, and MaxLength bounds the rest.
func (s *Signer) extra(w *scratch, object []byte) error {
	if len(object) == 0 {
		return nil
	}
	var list []member
	ok := len(object) <= MaxLength && members(object, func(name, value []byte) bool {
		for i := range list {
			if bytes.Equal(list[i].name, name) {
				list[i].value = value
				return true
			}
		}
		if !s.isReserved(string(name)) {
			list = append(list, member{name, value})
		}
		return true
	})
	if !ok {
		return fmt.Errorf("the user's own claims are no JSON object, in UTF-8, of at most %d bytes", MaxLength)
	}
	b := w.claims[:len(w.claims)-1]
	for _, m := range list {
		b = append(append(append(b, ','), quote(string(m.name))...), ':')
		b = append(b, m.value...)
	}
	w.claims = append(b, '}')
	return nil
}

// isReserved compares as Go's and other lenient JSON decoders do, for which EXP,
// or a long s in place of an s, is the same name.
func (s *Signer) isReserved(name string) bool {
	for _, r := range s.reserved {
		if strings.EqualFold(r, name) {
			return true
		}
	}
	return false
}
