package api

import (
	"net/http"

	"tokengate/session"
)

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
