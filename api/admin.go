package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/http/pprof"
	"slices"

	"github.com/go-chi/chi/v5"

	"tokengate/session"
)

// admin is the guard of the admin API: the token of ADMIN_TOKEN, compared in
// constant time by its digest, so that not even its length shows. An empty part
// of the path, as a script's unset variable leaves one, names nobody: to take
// it for less of a path would end more than was asked for.
func (s *Server) admin(x *exchange) error {
	x.challenge = `Bearer realm="admin"`
	if s.adminOff {
		return session.Fail(codeAdminOff, nil)
	}
	scheme, token, parts := splitAuthorization(x.Request.Header["Authorization"])
	digest := sha256.Sum256([]byte(token))
	same := subtle.ConstantTimeCompare(digest[:], s.adminToken[:]) == 1
	if scheme != "Bearer" || parts != 2 || !same {
		return session.Fail(codeAdminToken, nil)
	}
	if slices.Contains(chi.RouteContext(x.Request.Context()).URLParams.Values, "") {
		return session.Fail(codeNotFound, nil)
	}
	return nil
}

// owner is the user that the path names. It may be one who is gone: sessions
// must be endable then, too.
func (x *exchange) owner() session.Owner {
	return session.Owner{App: x.param("app"), User: x.param("user")}
}

// maxOperator bounds an operator's name, in bytes.
const maxOperator = 64

// operator is who the caller says acts, for the traces: the query's "by".
func (x *exchange) operator() string {
	by := trim(x.Request.URL.Query().Get("by"))
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

// userSessions is GET /admin/apps/{app}/users/{user}/sessions: what lives, and
// why the user's last sessions ended.
func (s *Server) userSessions(x *exchange) error {
	held, err := s.engine.UserSessions(x.ctx(), x.owner())
	if err != nil {
		return err
	}
	b := append(appendKey(append(x.buffer(), '{'), "sessions"), '[')
	for i := range held.Sessions {
		b = appendHeld(b, &held.Sessions[i])
	}
	b = append(appendKey(append(b, ']'), "ended"), '[')
	for _, t := range held.Ended {
		b = appendTrace(b, t)
	}
	x.write(http.StatusOK, append(b, ']', '}'))
	return nil
}

// appendHeld appends one session as an operator sees it.
func appendHeld(b []byte, s *session.Session) []byte {
	b = appendSession(appendItem(b), s)
	b = appendMember(b, "type", string(s.Type))
	b = appendTime(appendKey(b, "absolute_end"), s.Absolute, wholeSeconds)
	return append(b, '}')
}

func appendTrace(b []byte, t session.Trace) []byte {
	b = appendMember(appendItem(b), "session_id", string(t.ID))
	b = appendMember(b, "cause", string(t.Cause))
	b = appendMember(b, "by", t.By)
	b = appendTime(appendKey(b, "at"), t.At, microseconds)
	return append(b, '}')
}

// appendItem begins the next object of a list.
func appendItem(b []byte) []byte {
	if b[len(b)-1] != '[' {
		b = append(b, ',')
	}
	return append(b, '{')
}

// endSession is DELETE …/users/{user}/sessions/{id}. A repetition finds the
// session ended and answers 404 with the cause.
func (s *Server) endSession(x *exchange) error {
	receipt, err := s.engine.EndSession(x.ctx(), x.owner(), session.ID(x.param("id")), x.operator())
	return x.ended(receipt, err)
}

// endUser is DELETE …/users/{user}/sessions: all of a user's end. The query's "cause" is "operator", or
// "account" where the account was disabled or its password changed.
func (s *Server) endUser(x *exchange) error {
	cause := session.CauseOperator
	switch sent := session.Cause(x.Request.URL.Query().Get("cause")); sent {
	case "", session.CauseOperator:
	case session.CauseAccount:
		cause = sent
	default:
		return invalidFields([]fault{{"cause", []string{`Valid options: "operator", "account".`}}})
	}
	receipt, err := s.engine.EndUser(x.ctx(), x.owner(), cause, x.operator())
	return x.ended(receipt, err)
}

// endApp is DELETE /admin/apps/{app}/sessions, for the day when a signing key
// or a user source has leaked: everything that began before now is over.
func (s *Server) endApp(x *exchange) error {
	receipt, err := s.engine.EndApp(x.ctx(), x.param("app"), x.operator())
	return x.ended(receipt, err)
}

// ended answers with the traces of what an operator has ended; for a whole app
// they are not told one by one.
func (x *exchange) ended(receipt session.Receipt, err error) error {
	if err != nil {
		return err
	}
	b := append(appendKey(append(x.buffer(), '{'), "ended"), '[')
	for _, t := range receipt.Ended {
		b = appendTrace(b, t)
	}
	x.durable(receipt.Durability)
	x.write(http.StatusOK, append(b, ']', '}'))
	return nil
}

// pprof serves one of Go's profiles. The listener is what guards it: profiles
// hold no secrets, but to take one costs CPU.
func (s *Server) pprof(x *exchange) error {
	x.quiet = true
	serve := pprof.Index
	switch x.param("profile") {
	case "cmdline":
		serve = pprof.Cmdline
	case "profile":
		serve = pprof.Profile
	case "symbol":
		serve = pprof.Symbol
	case "trace":
		serve = pprof.Trace
	}
	serve(x, x.Request)
	return nil
}
