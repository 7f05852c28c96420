package api

import (
	"net/http"
	"strconv"

	"tokengate/session"
)

// list handles POST /api/session/list/, which returns the caller's sessions of
// one type or of both. The step itself checks that the caller's own session is
// live, so the request needs one round trip to the store.
func (s *Server) list(x *exchange) error {
	f, err := x.readFields(listFields)
	if err != nil {
		return err
	}
	large := s.process.large.of(x.caller.App.Name)
	defer large.leave()
	listed, types, err := s.engine.List(large.context(x.ctx()), x.caller, f[0])
	if err != nil {
		return err
	}
	b := append(x.buffer(), '{')
	for _, t := range types {
		b = large.appendSessionsOfType(x, appendKey(b, typeTitles[t]), t, listed.Sessions)
	}
	x.write(http.StatusOK, append(b, '}'))
	return nil
}

// typeTitles has the names of the session types in the list.
var typeTitles = map[session.Type]string{session.Short: "Short", session.Long: "Long"}

// appendSessionsOfType appends the list's object for one session type. The
// number of available sessions is always a string; the Django app mixes strings
// and numbers.
func (l *largeList) appendSessionsOfType(x *exchange, b []byte, t session.Type, all []session.Session) []byte {
	live := 0
	for i := range all {
		if all[i].Type == t {
			live++
		}
	}
	free := "Unlimited"
	if n, unlimited := x.caller.App.Policies[t].Free(live); !unlimited {
		free = strconv.Itoa(n)
	}
	b = appendMember(append(b, '{'), "Available Sessions", free)
	b = append(appendKey(b, "Sessions"), '[')
	for i := range all {
		if all[i].Type != t {
			continue
		}
		b = l.sendPart(x, append(appendSession(appendItem(b), &all[i]), '}'))
	}
	return append(b, ']', '}')
}

// appendSession appends the members of one session. created_at and expires_at
// are whole seconds, as in the tokens. last_update has microseconds, because it
// decides which session is evicted first.
func appendSession(b []byte, s *session.Session) []byte {
	b = appendMember(b, "session_id", string(s.ID))
	b = appendTime(appendKey(b, "created_at"), s.Created, wholeSeconds)
	b = appendTime(appendKey(b, "last_update"), s.Updated, microseconds)
	b = appendTime(appendKey(b, "expires_at"), s.Expires, wholeSeconds)
	return appendMember(b, "session_info", s.Info)
}

// destroy handles POST /api/session/destroy/, which revokes one of the caller's
// sessions, possibly the one in use. Another user's session gets the same answer
// as one that does not exist.
func (s *Server) destroy(x *exchange) error {
	f, err := x.readFields(destroyFields)
	if err != nil {
		return err
	}
	result, err := s.engine.Destroy(x.ctx(), x.caller, f[0])
	return x.writeEmpty(result, err)
}

// destroyOthers handles POST /api/session/destroyAllOther/, which revokes the
// caller's sessions of one type or of both, except the one that the refresh token
// names. If the token names no live session of the caller, nothing is revoked:
// guessing which session to keep could log the user out on this device too.
func (s *Server) destroyOthers(x *exchange) error {
	f, err := x.readFields(othersFields)
	if err != nil {
		return err
	}
	result, err := s.engine.DestroyOthers(x.ctx(), x.caller, f[0], f[1])
	return x.writeEmpty(result, err)
}

// logout handles POST /api/session/logout/. The refresh token names the session. No
// access token is needed, so a client whose access token has expired can still
// log out.
func (s *Server) logout(x *exchange) error {
	f, err := x.readFields(logoutFields)
	if err != nil {
		return err
	}
	result, err := s.engine.Logout(x.ctx(), f[0], f[1])
	return x.writeEmpty(result, err)
}

// writeEmpty answers with an empty object, or returns the step's error. An error has a
// durability if the session was revoked before.
func (x *exchange) writeEmpty(result session.RevokeResult, err error) error {
	x.setDurability(result.Durability)
	if err != nil {
		return err
	}
	x.write(http.StatusOK, append(x.buffer(), '{', '}'))
	return nil
}
