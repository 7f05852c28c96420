package token

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"tokengate/session"
)

// Sign implements [session.Signer]. It truncates times to whole seconds.
//
// A refresh token is signed with the app's refresh key, and is the same, byte for byte,
// for the same claims. Access tokens have a random jti.
//
// Sign omits members of c.Extra with the names of registered claims or of the
// gateway's own claims, in upper or lower case: some JSON decoders would take
// them for the real claims.
//
// Sign fails if Verify could not accept the token: without a user, with an
// invalid session id, for a refresh token without session, type or generation, if
// Extra is not a JSON object, or if the token would be longer than MaxLength.
func (s *Signer) Sign(c session.Claims) (string, error) {
	buf := s.pool.Get().(*buffers)
	defer s.pool.Put(buf)
	t, err := s.writeClaims(buf, c)
	if err != nil {
		return "", err
	}
	header, key := s.keyring.keys[0].headers[t], s.keyring.keys[0].signVerifier
	if c.Kind == session.KindRefresh {
		header, key = s.refresh.signing.header, s.refresh.signing.signature
	}
	buf.token = append(append(buf.token[:0], header...), '.')
	buf.token = base64.RawURLEncoding.AppendEncode(buf.token, buf.claims)
	if buf.part, err = key.sign(buf.part[:0], buf.token); err != nil {
		return "", fmt.Errorf("signing failed: %w", err)
	}
	buf.token = base64.RawURLEncoding.AppendEncode(append(buf.token, '.'), buf.part)
	if len(buf.token) > MaxLength {
		return "", fmt.Errorf("the token would have %d bytes, but at most %d are allowed: the user has too many claims", len(buf.token), MaxLength)
	}
	return string(buf.token), nil
}

// writeClaims writes the claims of the token for c to buf.claims, and returns the
// token's typ.
func (s *Signer) writeClaims(buf *buffers, c session.Claims) (typ, error) {
	buf.claims = buf.claims[:0]
	switch {
	case c.User.IsZero():
		return 0, errors.New("a token needs a user")
	case c.Session != "" && !c.Session.Valid():
		return 0, errors.New("invalid session id")
	case c.Kind == session.KindRefresh:
		return typJWT, s.writeRefreshClaims(buf, c)
	case c.Kind != session.KindAccess:
		return 0, fmt.Errorf("unknown token kind %q", c.Kind)
	case s.rfc9068:
		s.writeRFC9068Claims(buf, c)
		return typAccess, s.mergeExtraClaims(buf, c.Extra)
	}
	s.writeAccessClaims(buf, c)
	return typJWT, s.mergeExtraClaims(buf, c.Extra)
}

// writeAccessClaims writes the claims of an access token in simplejwt's order,
// then sid, then aud and iss if they are configured. No value needs escaping
// here: all are numbers, hex digits, valid session ids or already encoded.
func (s *Signer) writeAccessClaims(buf *buffers, c session.Claims) {
	b := append(buf.claims, s.constant.accessPrefix...)
	b = strconv.AppendInt(b, c.Expires.Unix(), 10)
	b = strconv.AppendInt(append(b, `,"iat":`...), c.Issued.Unix(), 10)
	b = buf.appendRandomID(append(b, s.constant.jtiPrefix...))
	b = s.appendUser(append(append(b, '"'), s.constant.userPrefix...), c.User)
	b = appendSession(b, c.Session)
	buf.claims = append(append(b, s.constant.suffix...), '}')
}

// writeRFC9068Claims writes the claims of an access token of the profile RFC9068.
// Its sub is always a string (RFC 7519 section 4.1.2), even if the user source
// identifies users by numbers.
func (s *Signer) writeRFC9068Claims(buf *buffers, c session.Claims) {
	b := append(append(buf.claims, `{"iss":`...), s.constant.iss...)
	b = session.TextID(c.User.String()).AppendJSON(append(b, `,"sub":`...))
	b = append(append(b, `,"aud":`...), s.constant.aud...)
	b = append(append(b, `,"client_id":`...), s.constant.clientID...)
	b = strconv.AppendInt(append(b, `,"iat":`...), c.Issued.Unix(), 10)
	b = strconv.AppendInt(append(b, `,"exp":`...), c.Expires.Unix(), 10)
	b = append(buf.appendRandomID(append(b, `,"jti":"`...)), '"')
	b = appendSession(b, c.Session)
	if !c.AuthTime.IsZero() {
		b = strconv.AppendInt(append(b, `,"auth_time":`...), c.AuthTime.Unix(), 10)
	}
	buf.claims = append(b, '}')
}

// appendSession appends the claim sid, unless id is empty.
func appendSession(b []byte, id session.ID) []byte {
	if id == "" {
		return b
	}
	return append(append(append(b, `,"sid":"`...), id...), '"')
}

// appendRandomID appends 128 random bits as 32 hex digits, the format of the
// Django app's jti. The bits are in buf because a local array would be allocated
// on the heap.
func (buf *buffers) appendRandomID(b []byte) []byte {
	_, _ = rand.Read(buf.random[:]) // never returns an error; crypto/rand aborts the program instead
	return hex.AppendEncode(b, buf.random[:])
}

// appendUser appends a user's ID. It keeps its JSON type, except in sub, which is always
// a string (RFC 7519 section 4.1.2).
func (s *Signer) appendUser(b []byte, user session.UserID) []byte {
	if s.claimNames.user == subject {
		user = session.TextID(user.String())
	}
	return user.AppendJSON(b)
}

// member is a member of a JSON object: its decoded name and its value as JSON.
type member struct{ name, value []byte }

// mergeExtraClaims merges the members of a JSON object into buf.claims. If
// several members have the same name it keeps the last one, as most JSON decoders
// do; RFC 7519 section 4 allows verifiers to reject a token that contains
// duplicates. Names are found by linear search: users have a handful of claims,
// and MaxLength limits the number.
func (s *Signer) mergeExtraClaims(buf *buffers, object []byte) error {
	if len(object) == 0 {
		return nil
	}
	var list []member
	ok := len(object) <= MaxLength && eachMember(object, func(name, value []byte) bool {
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
		return fmt.Errorf("the user's own claims are not a JSON object in UTF-8 of at most %d bytes", MaxLength)
	}
	b := buf.claims[:len(buf.claims)-1]
	for _, m := range list {
		b = append(append(append(b, ','), encodeJSON(string(m.name))...), ':')
		b = append(b, m.value...)
	}
	buf.claims = append(b, '}')
	return nil
}

// isReserved reports whether a user's own claims must not set the claim name. It
// compares names as Go's and other lenient JSON decoders do, for which EXP, or a
// name with a long s (U+017F) in place of an s, is the same name.
func (s *Signer) isReserved(name string) bool {
	for _, r := range s.reserved {
		if strings.EqualFold(r, name) {
			return true
		}
	}
	return false
}
