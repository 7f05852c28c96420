package api

import (
	"net/http"

	"tokengate/session"
)

// login handles POST /api/session/login/, which creates a session. Wrong
// credentials get a 400, not a 401, as in the Django app, because a client's
// fetch wrapper may take any 401 to mean "log in again".
func (s *Server) login(x *exchange) error {
	f, err := x.readFields(loginFields)
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
	x.setDurability(tokens.Durability)
	x.write(http.StatusOK, append(b, '}'))
	return nil
}
