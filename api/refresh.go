package api

import (
	"net/http"

	"tokengate/session"
)

// refresh is POST /api/session/refresh/. Whether the answer has a new refresh
// token is the policy's affair: a client that stores what it gets, and keeps
// what it has where it gets none, is right under every policy. A client that
// has lost the answer asks again with the same token.
func (s *Server) refresh(x *exchange) error {
	f, err := x.fields(refreshFields)
	if err != nil {
		return err
	}
	tokens, err := s.engine.Refresh(x.ctx(), session.RefreshRequest{Secret: f[0], Type: f[1], Token: f[2]})
	if err != nil {
		return err
	}
	b := append(x.buffer(), '{')
	if tokens.Refresh != "" {
		b = appendMember(b, "refresh", tokens.Refresh)
	}
	b = appendMember(b, "access", tokens.Access)
	x.durable(tokens.Durability)
	x.write(http.StatusOK, append(b, '}'))
	return nil
}
