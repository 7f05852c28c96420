package api

import (
	"net/http"
	"strconv"

	"tokengate/session"
)

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

// appendGroup appends what the list says of one type.
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

// appendSession appends the members that a session shows.
func appendSession(b []byte, s *session.Session) []byte {
	b = appendMember(b, "session_id", string(s.ID))
	b = appendTime(appendKey(b, "created_at"), s.Created, wholeSeconds)
	b = appendTime(appendKey(b, "last_update"), s.Updated, microseconds)
	b = appendTime(appendKey(b, "expires_at"), s.Expires, wholeSeconds)
	return appendMember(b, "session_info", s.Info)
}

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

// verify is simplejwt's TokenVerifyView: 200 for a token, access or refresh,
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
