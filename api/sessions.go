package api

import (
	"net/http"
	"strconv"

	"tokengate/session"
)

// list is POST /api/session/list/: the caller's sessions of one type, or of
// both. The step itself checks that the caller's own session lives, so that the
// answer costs one round trip.
func (s *Server) list(x *exchange) error {
	f, err := x.fields(listFields)
	if err != nil {
		return err
	}
	listed, types, err := s.engine.List(x.ctx(), x.caller, f[0])
	if err != nil {
		return err
	}
	b := append(x.buffer(), '{')
	for _, t := range types {
		b = appendGroup(appendKey(b, typeTitles[t]), t, x.caller.App.Policies[t], listed.Sessions)
	}
	x.write(http.StatusOK, append(b, '}'))
	return nil
}

// typeTitles are the list's names for the session types.
var typeTitles = map[session.Type]string{session.Short: "Short", session.Long: "Long"}

// appendGroup appends what the list says of one type. The free places are
// always a text; the seed mixes texts and numbers.
func appendGroup(b []byte, t session.Type, p session.Policy, all []session.Session) []byte {
	live := 0
	for i := range all {
		if all[i].Type == t {
			live++
		}
	}
	free := "Unlimited"
	if n, unlimited := p.Free(live); !unlimited {
		free = strconv.Itoa(n)
	}
	b = appendMember(append(b, '{'), "Available Sessions", free)
	b = append(appendKey(b, "Sessions"), '[')
	for i := range all {
		if all[i].Type != t {
			continue
		}
		if b[len(b)-1] != '[' {
			b = append(b, ',')
		}
		b = append(appendSession(append(b, '{'), &all[i]), '}')
	}
	return append(b, ']', '}')
}

// appendSession appends the members that a session shows. The first and the
// last time are whole seconds, as in the tokens; the middle one is not, since
// it decides which session is the oldest.
func appendSession(b []byte, s *session.Session) []byte {
	b = appendMember(b, "session_id", string(s.ID))
	b = appendTime(appendKey(b, "created_at"), s.Created, wholeSeconds)
	b = appendTime(appendKey(b, "last_update"), s.Updated, microseconds)
	b = appendTime(appendKey(b, "expires_at"), s.Expires, wholeSeconds)
	return appendMember(b, "session_info", s.Info)
}

// destroy is POST /api/session/destroy/: one session of the caller's ends, which
// may be the one in use. Somebody else's is answered like one that never was.
func (s *Server) destroy(x *exchange) error {
	f, err := x.fields(destroyFields)
	if err != nil {
		return err
	}
	receipt, err := s.engine.Destroy(x.ctx(), x.caller, f[0])
	if err != nil {
		return err
	}
	return x.done(receipt)
}

// destroyOthers is POST /api/session/destroyAllOther/: all of the caller's of
// one type, or of both, end except the one that the refresh token names. A
// token that names no live session of the caller's ends nothing: to guess what
// was to be kept would sign the user out on this device too.
func (s *Server) destroyOthers(x *exchange) error {
	f, err := x.fields(othersFields)
	if err != nil {
		return err
	}
	receipt, err := s.engine.DestroyOthers(x.ctx(), x.caller, f[0], f[1])
	if err != nil {
		return err
	}
	return x.done(receipt)
}

// logout is POST /api/session/logout/. The refresh token alone says which
// session ends: a client whose access token has expired can still log out.
func (s *Server) logout(x *exchange) error {
	f, err := x.fields(logoutFields)
	if err != nil {
		return err
	}
	receipt, err := s.engine.Logout(x.ctx(), f[0], f[1])
	if err != nil {
		return err
	}
	return x.done(receipt)
}

// verify is POST /api/session/verify/, simplejwt's TokenVerifyView: 200 for a token, access or refresh,
// that is good and whose session lives.
func (s *Server) verify(x *exchange) error {
	f, err := x.fields(verifyFields)
	if err != nil {
		return err
	}
	caller, err := s.engine.Verify(x.ctx(), "", f[0])
	if err != nil {
		return err
	}
	x.note(caller)
	return x.done(session.Receipt{})
}

// done answers a step that has nothing to show.
func (x *exchange) done(receipt session.Receipt) error {
	x.durable(receipt.Durability)
	x.write(http.StatusOK, append(x.buffer(), '{', '}'))
	return nil
}
