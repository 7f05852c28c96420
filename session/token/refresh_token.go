package token

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"tokengate/session"
)

// writeRefreshClaims writes the claims of a refresh token: those of the Django app in
// its order, then those that only the gateway's refresh tokens have, then aud and iss,
// if they are configured. Verification goes by this order; see refreshMembers.
func (s *Signer) writeRefreshClaims(buf *buffers, c session.Claims) error {
	if c.Session == "" || c.Generation == 0 || (c.Type != session.Long && c.Type != session.Short) {
		return errors.New("a refresh token needs a session, its type and a generation")
	}
	b := append(buf.claims, s.constant.refreshPrefix...)
	b = strconv.AppendInt(b, c.Expires.Unix(), 10)
	b = strconv.AppendInt(append(b, `,"iat":`...), c.Issued.Unix(), 10)
	b = s.refresh.signing.appendJTI(append(b, s.constant.jtiPrefix...), buf, c)
	b = s.appendUser(append(append(b, '"'), s.constant.userPrefix...), c.User)
	b = appendSession(b, c.Session)
	b = append(append(append(b, `,"type":"`...), c.Type...), `","gen":`...)
	b = strconv.AppendUint(b, uint64(c.Generation), 10)
	buf.claims = append(append(b, s.constant.suffix...), '}')
	return nil
}

// refreshMembers holds the claims of a refresh token as JSON, by position: the gateway
// alone writes them, always in the order of writeRefreshClaims. So a token stays valid if
// its app changes the names of claims, ISSUER or AUDIENCE. A later version may append
// claims.
type refreshMembers struct {
	kind, exp, iat, jti, user, sid, sessionType, generation []byte

	inSubject bool // the user's ID is in the claim sub
	count     int
}

// add stores the next claim.
func (m *refreshMembers) add(name, value []byte) bool {
	for i, member := range []*[]byte{&m.kind, &m.exp, &m.iat, &m.jti, &m.user, &m.sid, &m.sessionType, &m.generation} {
		if i == m.count {
			*member = value
		}
	}
	if m.count == 4 {
		m.inSubject = string(name) == subject
	}
	m.count++
	return true
}

// verifyRefresh verifies a token with the header of a refresh key.
func (s *Signer) verifyRefresh(k *refreshKey, token string, kind session.Kind, clock session.Clock) (session.Claims, error) {
	buf := s.pool.Get().(*buffers)
	defer s.pool.Put(buf)
	if err := buf.split(token); err != nil {
		return session.Claims{}, session.Fail(session.TokenInvalid, err)
	}
	if !k.signature.verify(buf.token[:strings.LastIndexByte(token, '.')], buf.part) {
		return session.Claims{}, session.Fail(session.TokenInvalid, errors.New("the signature is not from the app's refresh key"))
	}
	c, err := readRefreshClaims(k, buf)
	if err != nil {
		return session.Claims{}, session.Fail(session.Unknown, err)
	}
	now, err := clock.StoreNow(c.User)
	switch expired := !now.Before(c.Expires); {
	case err != nil:
		return session.Claims{}, err
	case kind == session.KindAccess && expired:
		return session.Claims{}, session.Fail(session.TokenInvalid, errors.New("the token has expired"))
	case kind == session.KindAccess:
		return session.Claims{}, session.Fail(session.TokenWrongKind, nil)
	case expired:
		return c, session.Fail(session.Expired, nil)
	}
	return c, nil
}

// readRefreshClaims reads the claims in buf.claims, whose signature has been verified.
func readRefreshClaims(k *refreshKey, buf *buffers) (session.Claims, error) {
	notOurs := errors.New("the token was not issued by the gateway for a session")
	var m refreshMembers
	if !eachMember(buf.claims, m.add) || !isString(m.kind, string(session.KindRefresh)) {
		return session.Claims{}, notOurs
	}
	c := session.Claims{Kind: session.KindRefresh}
	var expOK, iatOK bool
	c.Expires, expOK = parseTime(m.exp)
	c.Issued, iatOK = parseTime(m.iat)
	if !expOK || !iatOK || !m.readSession(&c) {
		return session.Claims{}, notOurs
	}
	var err error
	if c.User, err = readUser(m.inSubject, m.user); err != nil {
		return session.Claims{}, err
	}
	var ok bool
	if c.Secret, ok = k.readJTI(m.jti, buf, c); !ok {
		return session.Claims{}, notOurs
	}
	return c, nil
}

// readSession stores in out the claims that name the session, and reports whether all
// of them are valid.
func (m *refreshMembers) readSession(out *session.Claims) bool {
	sid, _ := parseString(m.sid)
	out.Session = session.ID(sid)
	for _, t := range session.Types {
		if isString(m.sessionType, string(t)) {
			out.Type = t
		}
	}
	generation, err := strconv.ParseUint(string(m.generation), 10, 32)
	out.Generation = uint32(generation)
	return out.Session.Valid() && out.Type != "" && err == nil && generation > 0 && generation < math.MaxUint32 // it has a successor
}
