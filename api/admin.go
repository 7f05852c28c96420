package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"tokengate/session"
)

// requireAdminToken is the guard of the admin API. It compares the digests of the
// token and of ADMIN_TOKEN in constant time, so that not even the length leaks.
// It also rejects an empty parameter in the path, which an unset variable in a
// script causes: if the path were taken for the shorter one, more sessions would
// be revoked than intended.
func (s *Server) requireAdminToken(x *exchange) error {
	x.challenge = `Bearer realm="admin"`
	if s.adminOff {
		return session.Fail(codeAdminOff, nil)
	}
	scheme, token, parts := splitAuthorization(x.Request.Header["Authorization"])
	digest := sha256.Sum256([]byte(token))
	same := subtle.ConstantTimeCompare(digest[:], s.adminToken[:]) == 1
	if !strings.EqualFold(scheme, "Bearer") || parts != 2 || !same {
		return session.Fail(codeAdminToken, nil)
	}
	if slices.Contains(chi.RouteContext(x.Request.Context()).URLParams.Values, "") {
		return session.Fail(codeNotFound, nil)
	}
	return nil
}

// owner returns the user that the path names. The user may have been deleted:
// their sessions must still be revocable.
func (x *exchange) owner() session.Owner {
	return session.Owner{App: x.param("app"), User: x.param("user")}
}

// maxOperator is the maximum length of an operator's name, in bytes.
const maxOperator = 64

// operator returns the operator's name for tombstones: the query parameter "by", or
// "admin" if that is empty, too long or not printable ASCII.
func (x *exchange) operator() string {
	by := session.TrimSpace(x.Request.URL.Query().Get("by"))
	if by == "" || len(by) > maxOperator || !printable(by) {
		return "admin"
	}
	return by
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// userSessions handles GET /admin/apps/{app}/users/{user}/sessions, which returns the
// user's live sessions and tombstones.
func (s *Server) userSessions(x *exchange) error {
	large := s.process.large.of(x.owner().App)
	defer large.leave()
	found, err := s.engine.UserSessions(large.context(x.ctx()), x.owner())
	if err != nil {
		return err
	}
	b := append(appendKey(append(x.buffer(), '{'), "sessions"), '[')
	for i := range found.Live {
		b = large.sendPart(x, appendAdminSession(b, &found.Live[i]))
	}
	b = append(appendKey(append(b, ']'), "ended"), '[')
	for _, t := range found.Tombstones {
		b = appendTombstone(b, t)
	}
	x.write(http.StatusOK, append(b, ']', '}'))
	return nil
}

// appendAdminSession appends a session with the members that only operators see.
func appendAdminSession(b []byte, s *session.Session) []byte {
	b = appendSession(appendItem(b), s)
	b = appendMember(b, "type", string(s.Type))
	b = appendTime(appendKey(b, "absolute_end"), s.Absolute, wholeSeconds)
	return append(b, '}')
}

func appendTombstone(b []byte, t session.Tombstone) []byte {
	b = appendMember(appendItem(b), "session_id", string(t.ID))
	b = appendMember(b, "cause", string(t.Cause))
	b = appendMember(b, "by", t.By)
	b = appendTime(appendKey(b, "at"), t.At, microseconds)
	return append(b, '}')
}

// revokeSession handles DELETE …/users/{user}/sessions/{id}. A second request for
// the same session gets a 404 with the cause.
func (s *Server) revokeSession(x *exchange) error {
	result, err := s.engine.RevokeSession(x.ctx(), x.owner(), session.ID(x.param("id")), x.operator())
	return x.writeRevoked(result, err)
}

// revokeUser handles DELETE …/users/{user}/sessions, which revokes all of a user's
// sessions. The query parameter "cause" is "operator", which is the default, or
// "account" if the account was disabled or its password changed.
func (s *Server) revokeUser(x *exchange) error {
	cause := session.CauseOperator
	switch sent := session.Cause(x.Request.URL.Query().Get("cause")); sent {
	case "", session.CauseOperator:
	case session.CauseAccount:
		cause = sent
	default:
		return invalidFields([]fieldError{{"cause", []string{`Valid options: "operator", "account".`}}})
	}
	result, err := s.engine.RevokeUser(x.ctx(), x.owner(), cause, x.operator())
	return x.writeRevoked(result, err)
}

// revokeApp handles DELETE /admin/apps/{app}/sessions, which revokes all sessions
// of an app that were created before now. Operators use it after a signing key or a
// user source has leaked.
func (s *Server) revokeApp(x *exchange) error {
	result, err := s.engine.RevokeApp(x.ctx(), x.param("app"), x.operator())
	return x.writeRevoked(result, err)
}

// writeRevoked answers with the tombstones of the sessions that an operator has
// revoked. The list is empty after revokeApp, which does not list sessions, and if the
// user had too many of them: then the member "count" is their number.
func (x *exchange) writeRevoked(result session.RevokeResult, err error) error {
	if err != nil {
		return err
	}
	b := append(appendKey(append(x.buffer(), '{'), "ended"), '[')
	for _, t := range result.Revoked {
		b = appendTombstone(b, t)
	}
	b = append(b, ']')
	if result.Many != nil {
		b = strconv.AppendInt(appendKey(b, "count"), int64(result.Number), 10)
	}
	x.setDurability(result.Durability)
	x.write(http.StatusOK, append(b, '}'))
	return nil
}

// attacks handles GET /admin/apps/{app}/attacks, which returns which accounts, devices and
// networks were refused by the limits of failed logins in the last hour.
func (s *Server) attacks(x *exchange) error {
	list, err := s.engine.Refusals(x.ctx(), x.param("app"))
	if err != nil {
		return err
	}
	b := append(appendKey(append(x.buffer(), '{'), "refusals"), '[')
	for _, r := range list {
		b = appendMember(appendItem(b), "limit", string(r.Limit))
		b = appendMember(b, "key", r.Key)
		b = append(strconv.AppendInt(appendKey(b, "count"), int64(r.Count), 10), '}')
	}
	x.write(http.StatusOK, append(b, ']', '}'))
	return nil
}
