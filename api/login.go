package api

import (
	"net/http"

	"tokengate/session"
)

// login is POST /api/session/login/: a session begins. The gateway answers 400,
// not 401, to wrong credentials, because the seed does and a client's fetch
// wrapper may take any 401 for "log in again".
func (s *Server) login(x *exchange) error {
	f, err := x.fields(loginFields)
	if err != nil {
		return err
	}
	tokens, err := s.engine.Login(x.ctx(), session.LoginRequest{
		Username: f[0], Password: f[1], Secret: f[2], Type: f[3], Info: f[4],
	})
	if err != nil {
		return err
	}
	b := appendMember(append(x.buffer(), '{'), "refresh", tokens.Refresh)
	b = appendMember(b, "access", tokens.Access)
	b = appendMember(b, "session_id", string(tokens.Session))
	x.durable(tokens.Durability)
	x.write(http.StatusOK, append(b, '}'))
	return nil
}

// durable tells whether replicas have what this request changed, where the
// operator has asked for that.
func (x *exchange) durable(d session.Durability) {
	if d != session.NotAsked {
		x.Header().Set("Durability", string(d))
	}
}
