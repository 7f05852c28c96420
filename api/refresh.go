package api

import (
	"net/http"

	"tokengate/api/listen"
	"tokengate/session"
)

// refresh handles POST /api/session/refresh/. The policy decides whether the
// answer has a new refresh token. A client that stores the token it gets, and
// keeps its own if it gets none, works with every policy. A client that has lost
// the answer retries with the same token. A repeat from another network than that of the
// refresh that spent the token is logged, because a thief's would look like it.
func (s *Server) refresh(x *exchange) error {
	f, err := x.readFields(refreshFields)
	if err != nil {
		return err
	}
	tokens, err := s.engine.Refresh(x.ctx(), session.RefreshRequest{Secret: f[0], Type: f[1], Token: f[2], Network: listen.Network(x.client())})
	if err != nil {
		return err
	}
	b := append(x.buffer(), '{')
	if tokens.Refresh != "" {
		b = appendMember(b, "refresh", tokens.Refresh)
	}
	b = appendMember(b, "access", tokens.Access)
	x.setDurability(tokens.Durability)
	x.write(http.StatusOK, append(b, '}'))
	return nil
}
