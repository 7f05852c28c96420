package api

import (
	"net/http"
	"slices"
	"time"

	"tokengate/api/listen"
	"tokengate/session"
)

// headerDevice carries the token of a known device, in the answer to a login and in the
// requests of later ones.
const headerDevice = "Device-Token"

// login handles POST /api/session/login/, which creates a session. Wrong
// credentials get a 400, not a 401, as in the Django app, because a client's
// fetch wrapper may take any 401 to mean "log in again".
func (s *Server) login(x *exchange) error {
	f, err := s.readLogin(x)
	if err != nil {
		return err
	}
	tokens, err := s.engine.Login(x.ctx(), session.LoginRequest{
		Username: f[0], Password: f[1], Secret: f[2], Type: f[3], Info: f[4],
		Network: listen.Network(x.client()), Device: x.Request.Header.Get(headerDevice),
	})
	if session.LimitOf(err) != "" {
		listen.Rest(x.Request, time.Now(), func() { s.process.refused.hold(x.Request.Context()) })
	}
	if err != nil {
		return err
	}
	x.Header().Set(headerDevice, tokens.Device)
	b := appendMember(append(x.buffer(), '{'), "refresh", tokens.Refresh)
	b = appendMember(b, "access", tokens.Access)
	b = appendMember(b, "session_id", string(tokens.Session))
	x.setDurability(tokens.Durability)
	x.write(http.StatusOK, append(b, '}'))
	return nil
}

// readLogin reads the fields of a login in the order of loginFields. The name of the
// first one, the username, is the app's, and the app is known by its secret. If the
// secret is wrong, it is the first of all apps' names that was sent, or else the first of
// all: the login fails in any case.
func (s *Server) readLogin(x *exchange) ([]string, error) {
	others := loginFields[1:]
	fields := make([]field, 0, len(s.usernameFields)+len(others))
	for _, name := range s.usernameFields {
		fields = append(fields, field{name: name})
	}
	f, err := x.readForm(append(fields, others...))
	if err != nil {
		return nil, err
	}
	usernames := f.received[:len(s.usernameFields)]
	first := max(0, slices.IndexFunc(usernames, func(v value) bool { return v.kind != absent }))
	if a := s.engine.AppBySecret(session.TrimSpace(f.slot("secret_key").text)); a != nil {
		first = slices.Index(s.usernameFields, s.apps[a.Name].usernameField)
	}
	chosen := &form{
		fields:   slices.Concat([]field{f.fields[first]}, others),
		received: slices.Concat([]value{f.received[first]}, f.received[len(usernames):]),
	}
	return chosen.values()
}
